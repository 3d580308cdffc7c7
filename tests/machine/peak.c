// Runs a command and tells what it took at most.
//
//   peak REPORT COMMAND [ARGUMENT...]
//
// REPORT gets the most memory that COMMAND had resident, in KiB, and the milliseconds that it kept processors busy. A small
// program of its own, because a process begins with the memory of the one that made it. Ends as COMMAND does.
#define _DEFAULT_SOURCE
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int count, char **arguments) {
    if (count < 3) return 125;
    pid_t child = fork();
    if (child == 0) {
        execv(arguments[2], arguments + 2);
        perror(arguments[2]);
        _exit(125);
    }
    struct rusage usage;
    int status;
    if (child < 0 || wait4(child, &status, 0, &usage) != child) return 125;
    long busy = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
    FILE *report = fopen(arguments[1], "w");
    if (!report || fprintf(report, "%ld %ld\n", usage.ru_maxrss, busy) < 0 || fclose(report)) return 125;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

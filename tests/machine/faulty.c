// Runs a command of which one change below a folder fails, and perhaps every later one: the disk of a test.
//
//   faulty FOLDER N ERROR once|on REPORT COMMAND [ARGUMENT...]
//
// Changes are calls that write, sync, make or rename what stands below FOLDER. They are counted by the kernel's own means
// (seccomp with a listener), so that calls that go past the C library count as well. The N-th fails with ERROR, a number;
// none fails if N is 0. REPORT gets the number of changes, the number of failed ones, and the path of the first of these.
// Ends as COMMAND does, or with 77 where the kernel lacks what this takes.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <limits.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LACKS = 77 };

// What a call names: the open file of its first argument, a path, a path below an open folder, or a path to open.
enum names { BY_FILE, BY_PATH, BY_FOLDER, BY_OPEN, BY_OPEN_FOLDER };

static const struct call {
    int number;
    enum names names;
} calls[] = {
    { SYS_openat, BY_OPEN_FOLDER },
    { SYS_write, BY_FILE },
    { SYS_writev, BY_FILE },
    { SYS_pwrite64, BY_FILE },
    { SYS_pwritev, BY_FILE },
    { SYS_sendfile, BY_FILE },
    { SYS_ftruncate, BY_FILE },
    { SYS_fallocate, BY_FILE },
    { SYS_fsync, BY_FILE },
    { SYS_fdatasync, BY_FILE },
    { SYS_renameat2, BY_FOLDER },
    { SYS_renameat, BY_FOLDER },
    { SYS_mkdirat, BY_FOLDER },
    { SYS_linkat, BY_FOLDER },
#ifdef SYS_open
    { SYS_open, BY_OPEN },
    { SYS_rename, BY_PATH },
    { SYS_mkdir, BY_PATH },
    { SYS_link, BY_PATH },
#endif
};
enum { CALLS = sizeof calls / sizeof calls[0] };

static void lacks(const char *what) {
    fprintf(stderr, "faulty: %s: %s\n", what, strerror(errno));
    exit(LACKS);
}

// Makes the kernel ask about the calls above, and returns where it asks.
static int listener(void) {
    struct sock_filter code[CALLS + 3];
    size_t length = 0;
    code[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < CALLS; i++)
        code[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i].number, CALLS - i, 0);
    code[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    code[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
    struct sock_fprog program = { .len = length, .filter = code };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) lacks("no new privileges");
    int fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    if (fd < 0) lacks("seccomp");
    return fd;
}

// Sends `fd`, or receives one if it is negative.
static int pass(int channel, int fd) {
    char byte = 0, space[CMSG_SPACE(sizeof fd)] = { 0 };
    struct iovec io = { &byte, 1 };
    struct msghdr message = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space };
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (fd >= 0) {
        *header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fd) };
        memcpy(CMSG_DATA(header), &fd, sizeof fd);
        return sendmsg(channel, &message, 0) == 1 ? fd : -1;
    }
    if (recvmsg(channel, &message, 0) != 1 || !(header = CMSG_FIRSTHDR(&message))) return -1;
    memcpy(&fd, CMSG_DATA(header), sizeof fd);
    return fd;
}

// The path of the open file `fd` of `process`, or of its current folder.
static void path_of(int process, int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, fd == AT_FDCWD ? "/proc/%d/cwd" : "/proc/%d/fd/%d", process, fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = 0;
}

// The path at `address` in the memory of `process`, below the folder `fd` if it is relative.
static void path_at(int process, unsigned long address, int fd, char *path) {
    char memory[64], text[PATH_MAX] = { 0 };
    snprintf(memory, sizeof memory, "/proc/%d/mem", process);
    int file = open(memory, O_RDONLY);
    if (file < 0 || pread(file, text, sizeof text - 1, address) < 0) text[0] = 0;
    if (file >= 0) close(file);
    path[0] = 0;
    if (text[0] != '/') {
        path_of(process, fd, path);
        strncat(path, "/", PATH_MAX - 1 - strlen(path));
    }
    strncat(path, text, PATH_MAX - 1 - strlen(path));
}

// The path that `request` changes, or an empty one if it changes nothing.
static void changed(const struct seccomp_notif *request, char *path) {
    const __u64 *args = request->data.args;
    const struct call *call = calls;
    while (call->number != request->data.nr) call++;
    const int writes = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC;
    path[0] = 0;
    switch (call->names) {
    case BY_FILE: path_of(request->pid, args[0], path); break;
    case BY_PATH: path_at(request->pid, args[0], AT_FDCWD, path); break;
    case BY_FOLDER: path_at(request->pid, args[1], args[0], path); break;
    case BY_OPEN: if (args[1] & writes) path_at(request->pid, args[0], AT_FDCWD, path); break;
    case BY_OPEN_FOLDER: if (args[2] & writes) path_at(request->pid, args[1], args[0], path); break;
    }
}

int main(int count, char **arguments) {
    if (count < 7) return LACKS;
    char folder[PATH_MAX], path[PATH_MAX], first[PATH_MAX] = "";
    if (!realpath(arguments[1], folder)) lacks(arguments[1]);
    const long at = atol(arguments[2]), error = atol(arguments[3]);
    const int goes_on = !strcmp(arguments[4], "on");
    int channel[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel)) lacks("socketpair");
    pid_t child = fork();
    if (child == 0) {
        int fd = listener();
        if (pass(channel[1], fd) < 0) lacks("listener");
        close(fd);
        execv(arguments[6], arguments + 6);
        lacks(arguments[6]);
    }
    close(channel[1]);
    int asked = pass(channel[0], -1), status;
    long changes = 0, failed = 0;
    const size_t length = strlen(folder);
    struct pollfd poller = { .fd = asked, .events = POLLIN };
    while (asked >= 0 && poll(&poller, 1, -1) >= 0 && !(poller.revents & POLLHUP)) {
        struct seccomp_notif request = { 0 };
        // The call may have been given up in between.
        if (ioctl(asked, SECCOMP_IOCTL_NOTIF_RECV, &request)) continue;
        struct seccomp_notif_resp answer = { .id = request.id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };
        changed(&request, path);
        if (!strncmp(path, folder, length) && (path[length] == '/' || !path[length])) {
            changes++;
            if (at && (changes == at || (goes_on && changes > at))) {
                if (!failed++) strcpy(first, path);
                answer.flags = 0;
                answer.error = -error;
            }
        }
        ioctl(asked, SECCOMP_IOCTL_NOTIF_SEND, &answer);
    }
    waitpid(child, &status, 0);
    FILE *report = fopen(arguments[5], "w");
    if (!report || fprintf(report, "%ld %ld %s\n", changes, failed, first) < 0 || fclose(report)) lacks("report");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

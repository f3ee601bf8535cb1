/* window read CPU FILE WANT               reads FILE without a pause until SIGTERM, and compares it with WANT
 * window write CPU COUNT FILE=VALUE...    writes VALUE to FILE, in turn, COUNT times in all
 *
 * Both run on one processor. read prints how many reads there were, how many had another value, and the first such
 * value; before that a line when it begins. write prints how many writes there were, how many failed or were
 * incomplete, and the nanoseconds from the first to the last.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_FILES 32

static volatile sig_atomic_t stopped;

static void stop(int sig)
{
	(void)sig;
	stopped = 1;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void pin(const char *cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(atoi(cpu), &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		fail("sched_setaffinity");
}

static void read_window(const char *path, const char *want)
{
	char live[64], first[64] = "-";
	ssize_t length = strlen(want), n;
	long long reads = 0, others = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		fail(path);
	signal(SIGTERM, stop);
	puts("reading");
	fflush(stdout);
	for (; !stopped; reads++) {
		n = pread(fd, live, sizeof(live) - 1, 0);
		if (n < 0)
			fail("read");
		if (n == length + 1 && memcmp(live, want, length) == 0)
			continue;
		if (others++ == 0)
			snprintf(first, sizeof(first), "%.*s", (int)(n > 0 ? n - 1 : 0), live);
	}
	printf("%lld %lld %s\n", reads, others, first);
}

static void write_window(long long count, int files, char **assignments)
{
	struct timespec begin, end;
	const char *values[MAX_FILES];
	int fds[MAX_FILES];
	long long failed = 0;

	for (int i = 0; i < files; i++) {
		char *equals = strchr(assignments[i], '=');

		if (!equals)
			fail(assignments[i]);
		*equals = 0;
		values[i] = equals + 1;
		fds[i] = open(assignments[i], O_WRONLY | O_CLOEXEC);
		if (fds[i] < 0)
			fail(assignments[i]);
	}
	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (long long i = 0; i < count; i++) {
		const char *value = values[i % files];

		if (pwrite(fds[i % files], value, strlen(value), 0) != (ssize_t)strlen(value))
			failed++;
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("%lld %lld %lld\n", count, failed,
	       (end.tv_sec - begin.tv_sec) * 1000000000LL + end.tv_nsec - begin.tv_nsec);
}

int main(int argc, char **argv)
{
	if (argc == 5 && strcmp(argv[1], "read") == 0) {
		pin(argv[2]);
		read_window(argv[3], argv[4]);
		return 0;
	}
	if (argc > 4 && argc - 4 <= MAX_FILES && strcmp(argv[1], "write") == 0) {
		pin(argv[2]);
		write_window(atoll(argv[3]), argc - 4, argv + 4);
		return 0;
	}
	fprintf(stderr, "usage: window read CPU FILE WANT | window write CPU COUNT FILE=VALUE...\n");
	return 2;
}

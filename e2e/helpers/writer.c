/*
 * The foreign writer of the benchmarks. It writes a wrong value to settings that other programs keep.
 *
 *   writer drift COUNT GAP_USEC PIDS NAME=VALUE...
 *     Writes COUNT times for each keeper, and reads until the value is right again. Prints for each write a line:
 *     index of the keeper, ns from the begin of the write until seen right, ns from its return until seen right.
 *   writer storm RATE SECONDS PID NAME=VALUE
 *     Writes RATE times a second. Prints at the end of it the number of writes and the ns that they took, and later
 *     the ns from the last write until seen right.
 *
 * PIDS are the keepers, separated by commas. Each has a network namespace of its own, whose files are opened once.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NS 1000000000LL
#define GIVE_UP (60 * NS) /* twice ctkeeper's longest back-off */

static const char wrong[] = "777";

struct setting {
	int fd;
	const char *want;
	size_t length;
};

struct result {
	int keeper;
	long long total, repair;
};

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * NS + t.tv_nsec;
}

static void sleep_until(long long ns)
{
	struct timespec t = { ns / NS, ns % NS };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) != 0)
		;
}

static void enter(const char *pid)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/ns/net", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		fail(path);
	close(fd);
}

/* open_setting opens the file of NAME=VALUE in the present network namespace. */
static struct setting open_setting(const char *assignment)
{
	const char *equals = strchr(assignment, '=');
	struct setting s;
	char path[128];

	if (!equals) {
		fprintf(stderr, "%s is not NAME=VALUE\n", assignment);
		exit(2);
	}
	snprintf(path, sizeof(path), "/proc/sys/net/netfilter/nf_conntrack_%.*s", (int)(equals - assignment), assignment);
	s.fd = open(path, O_RDWR | O_CLOEXEC);
	if (s.fd < 0)
		fail(path);
	s.want = equals + 1;
	s.length = strlen(s.want);
	return s;
}

static void spoil(const struct setting *s)
{
	if (pwrite(s->fd, wrong, sizeof(wrong) - 1, 0) < 0)
		fail("write");
}

/* wait_right reads until the value is right, without a pause: a repair takes microseconds. */
static long long wait_right(const struct setting *s)
{
	long long begin = now(), t;
	char live[64];

	do {
		ssize_t n = pread(s->fd, live, sizeof(live), 0);

		t = now();
		if (n < 0)
			fail("read");
		if ((size_t)n == s->length + 1 && memcmp(live, s->want, s->length) == 0)
			return t;
	} while (t - begin < GIVE_UP);
	fprintf(stderr, "%s was not written again\n", s->want);
	exit(1);
}

/* drift sleeps before each write for a random time of GAP on average, so that no write keeps step with a keeper. */
static void drift(int count, long long gap, char *pids, int names, char **assignments)
{
	struct setting settings[16][64];
	int keepers = 0, done = 0;
	struct result *results;

	for (char *pid = strtok(pids, ","); pid && keepers < 16; pid = strtok(NULL, ","), keepers++) {
		enter(pid);
		for (int i = 0; i < names && i < 64; i++)
			settings[keepers][i] = open_setting(assignments[i]);
	}
	results = calloc((size_t)count * keepers, sizeof(*results));
	if (!results)
		fail("calloc");
	for (int i = 0; i < count; i++) {
		for (int k = 0; k < keepers; k++) {
			const struct setting *s = &settings[k][i % names];
			long long begin, written, right;

			sleep_until(now() + gap / 2 + random() % (gap + 1));
			begin = now();
			spoil(s);
			written = now();
			right = wait_right(s);
			results[done++] = (struct result){ k, right - begin, right - written };
		}
	}
	for (int i = 0; i < done; i++)
		printf("%d %lld %lld\n", results[i].keeper, results[i].total, results[i].repair);
}

/* storm writes in steps of at least a millisecond: a sleep for less takes longer than it should. */
static void storm(int rate, int seconds, const char *pid, const char *assignment)
{
	long long step = rate > 1000 ? NS / 1000 : NS / rate, writes = 0, begin, end;
	struct setting s;

	enter(pid);
	s = open_setting(assignment);
	begin = now();
	for (long long t = begin; t < begin + seconds * NS; t += step) {
		sleep_until(t);
		for (int i = 0; i < (rate > 1000 ? rate / 1000 : 1); i++, writes++)
			spoil(&s);
	}
	end = now();
	printf("%lld %lld\n", writes, end - begin);
	fflush(stdout);
	printf("%lld\n", wait_right(&s) - end);
}

int main(int argc, char **argv)
{
	if (argc > 5 && strcmp(argv[1], "drift") == 0) {
		drift(atoi(argv[2]), atoll(argv[3]) * 1000, argv[4], argc - 5, argv + 5);
		return 0;
	}
	if (argc == 6 && strcmp(argv[1], "storm") == 0) {
		storm(atoi(argv[2]), atoi(argv[3]), argv[4], argv[5]);
		return 0;
	}
	fprintf(stderr, "usage: writer drift COUNT GAP_USEC PIDS NAME=VALUE... | storm RATE SECONDS PID NAME=VALUE\n");
	return 2;
}

/*
 * bare DIR NAME=VALUE...: the minimal program that keeps files of DIR at their values. It blocks in a read from
 * inotify, reads the file that was written, and writes the value back if it differs. ctkeeper's time to repair is
 * compared with it.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

static int repair(const char *dir, const char *name, const char *want)
{
	char path[PATH_MAX], live[64];
	size_t length = strlen(want);
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, live, sizeof(live) - 1);
	if (n < 0) {
		close(fd);
		return -1;
	}
	live[n] = 0;
	live[strcspn(live, "\n")] = 0;
	if (strcmp(live, want) != 0 && pwrite(fd, want, length, 0) != (ssize_t)length)
		n = -1;
	close(fd);
	return n < 0 ? -1 : 0;
}

static const char *find_want(int argc, char **argv, const char *name)
{
	size_t length = strlen(name);

	for (int i = 2; i < argc; i++)
		if (strncmp(argv[i], name, length) == 0 && argv[i][length] == '=')
			return argv[i] + length + 1;
	return NULL;
}

int main(int argc, char **argv)
{
	char buf[64 * 1024] __attribute__((aligned(__alignof__(struct inotify_event))));
	int fd = inotify_init1(IN_CLOEXEC);

	if (argc < 3 || fd < 0 || inotify_add_watch(fd, argv[1], IN_MODIFY) < 0) {
		perror("bare");
		return 1;
	}
	for (;;) {
		ssize_t n = read(fd, buf, sizeof(buf));
		if (n <= 0) {
			perror("bare: read");
			return 1;
		}
		for (char *p = buf; p < buf + n;) {
			struct inotify_event *event = (struct inotify_event *)p;
			const char *want = event->len ? find_want(argc, argv, event->name) : NULL;

			if (want && repair(argv[1], event->name, want) < 0)
				perror(event->name);
			p += sizeof(*event) + event->len;
		}
	}
}

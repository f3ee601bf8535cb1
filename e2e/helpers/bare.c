/*
 * bare DIR NAME=VALUE...: the minimal program that keeps files of DIR at their values. It keeps them open, blocks in
 * a read from inotify, reads the file that was written, and writes the value back if it differs. ctkeeper's time to
 * repair is compared with it.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define MAX_FILES 128

struct file {
	const char *name;
	char want[64]; /* with a newline, as the kernel shows it */
	int fd;
};

static struct file files[MAX_FILES];
static int file_count;

static int add(const char *dir, char *assignment)
{
	struct file *file = &files[file_count];
	char path[PATH_MAX];
	char *value = strchr(assignment, '=');

	if (!value || file_count == MAX_FILES)
		return -1;
	*value = 0;
	file->name = assignment;
	snprintf(file->want, sizeof(file->want), "%s\n", value + 1);
	snprintf(path, sizeof(path), "%s/%s", dir, assignment);
	file->fd = open(path, O_RDWR | O_CLOEXEC);
	file_count++;
	return file->fd < 0 ? -1 : 0;
}

static int repair(const char *name)
{
	char live[64];

	for (int i = 0; i < file_count; i++) {
		struct file *file = &files[i];
		ssize_t length = strlen(file->want), n;

		if (strcmp(file->name, name) != 0)
			continue;
		n = pread(file->fd, live, sizeof(live), 0);
		if (n < 0 || (n == length && memcmp(live, file->want, n) == 0))
			return n < 0 ? -1 : 0;
		return pwrite(file->fd, file->want, length, 0) == length ? 0 : -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	char buf[64 * 1024] __attribute__((aligned(__alignof__(struct inotify_event))));
	int fd = inotify_init1(IN_CLOEXEC);

	for (int i = 2; i < argc; i++)
		if (add(argv[1], argv[i]) < 0) {
			perror(argv[i]);
			return 1;
		}
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

			if (event->len && repair(event->name) < 0)
				perror(event->name);
			p += sizeof(*event) + event->len;
		}
	}
}

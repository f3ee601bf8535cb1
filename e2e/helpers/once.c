/* once FILE VALUE [COUNT]: writes a kernel file COUNT times (by default once), as fast as possible, and exits. The exit
 * status is the errno of the last write that failed. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int failed = 0, fd = argc < 3 ? -1 : open(argv[1], O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		_exit(argc < 3 ? EINVAL : errno);
	for (int left = argc > 3 ? atoi(argv[3]) : 1; left > 0; left--)
		if (pwrite(fd, argv[2], strlen(argv[2]), 0) < 0)
			failed = errno;
	_exit(failed);
}

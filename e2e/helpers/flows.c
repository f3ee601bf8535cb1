/* Creates entries in the connection table of the host between two namespaces.
 *
 *   flows listen PORT             accept TCP connections and keep them open
 *   flows tcp DEST PORT COUNT     open TCP connections and keep them open
 *   flows udp DEST PORT COUNT     one datagram from each of COUNT sockets
 *   flows tftp DEST PORT COUNT    the same with a TFTP read request (RFC 1350)
 *
 * tcp prints how many connections were accepted, and then waits to be killed. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static void die(const char *what) {
	perror(what);
	exit(1);
}

static struct sockaddr_in address(const char *host, const char *port) {
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
	if (inet_pton(AF_INET, host, &a.sin_addr) != 1) die("inet_pton");
	return a;
}

static void listen_on(const char *port) {
	struct sockaddr_in a = address("0.0.0.0", port);
	int one = 1, s = socket(AF_INET, SOCK_STREAM, 0);
	if (s < 0 || setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) || bind(s, (void *)&a, sizeof a) ||
	    listen(s, 1024))
		die("listen");
	puts("listening");
	fflush(stdout);
	for (;;)
		if (accept(s, NULL, NULL) < 0 && errno != EINTR) die("accept");
}

static void tcp(const char *host, const char *port, int count) {
	struct sockaddr_in a = address(host, port);
	int made = 0;
	for (int i = 0; i < count; i++) {
		int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), error = 0;
		socklen_t size = sizeof error;
		if (s < 0) die("socket");
		if (connect(s, (void *)&a, sizeof a) && errno != EINPROGRESS) continue;
		struct pollfd p = {.fd = s, .events = POLLOUT};
		/* A connection for which the table has no room is not answered. */
		if (poll(&p, 1, 200) == 1 && !getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &size) && !error) made++;
		else close(s); /* otherwise the kernel would retry */
	}
	printf("%d\n", made);
	fflush(stdout);
	pause();
}

static void datagrams(const char *host, const char *port, int count, const char *payload, size_t size) {
	struct sockaddr_in a = address(host, port);
	for (int i = 0; i < count; i++) {
		int s = socket(AF_INET, SOCK_DGRAM, 0);
		if (s < 0) die("socket");
		/* EPERM means that the table had no room. */
		if (sendto(s, payload, size, 0, (void *)&a, sizeof a) < 0 && errno != EPERM) die("sendto");
		/* It stays open, because each needs a port of its own. */
	}
}

int main(int argc, char **argv) {
	static const char request[] = "\0\1file\0octet";
	struct rlimit files = {16384, 16384};
	setrlimit(RLIMIT_NOFILE, &files);
	if (argc == 3 && !strcmp(argv[1], "listen")) listen_on(argv[2]);
	else if (argc == 5 && !strcmp(argv[1], "tcp")) tcp(argv[2], argv[3], atoi(argv[4]));
	else if (argc == 5 && !strcmp(argv[1], "udp")) datagrams(argv[2], argv[3], atoi(argv[4]), "x", 1);
	else if (argc == 5 && !strcmp(argv[1], "tftp")) datagrams(argv[2], argv[3], atoi(argv[4]), request, sizeof request);
	else return 2;
	return 0;
}

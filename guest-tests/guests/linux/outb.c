/* Write one byte to an I/O port: outb PORT VALUE. Debian's cloud kernel has no /dev/port. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/io.h>

int main(int argc, char **argv)
{
	unsigned long port, value;

	if (argc != 3) {
		fprintf(stderr, "usage: outb PORT VALUE\n");
		return 2;
	}
	port = strtoul(argv[1], NULL, 0);
	value = strtoul(argv[2], NULL, 0);
	if (port > 0xffff || value > 0xff) {
		fprintf(stderr, "outb: port %lu or value %lu is too large\n", port, value);
		return 2;
	}
	if (ioperm(port, 1, 1)) {
		perror("outb: ioperm");
		return 1;
	}
	outb((unsigned char)value, (unsigned short)port);
	return 0;
}

/*
 * fsrates DIR [FILES [MB [make | read]]]: how fast a file system is, as a program sees it: a file of so many MB (32) by large and an
 * eighth of it by small calls, so many small files (400), their names. Each rate is a line `rate TEST KEY VALUE`, KEY `mb_per_s`
 * (1048576 bytes) or `rate` (files per second). What is written counts once it has left the cache (sync); read is from a cold
 * cache, which takes root, and again from a warm one. `make` only makes what is read, and leaves it; `read` only reads it.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LARGE	   (1u << 20)
#define SMALL	   4096u
#define SMALL_FILE 2000u /* bytes, as a source file has */

static char buffer[LARGE];
static unsigned int files = 400, mb = 32;
static int makes = 1, reads = 1;
static double began;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void must(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		exit(1);
	}
}

/* What was changed before is no part of what is measured now. */
static void begin(int cold)
{
	sync();
	if (cold) {
		const int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

		must(fd >= 0 && write(fd, "3", 1) == 1, "drop_caches");
		close(fd);
	}
	began = now();
}

static void told(const char *test, const char *key, double amount)
{
	printf("rate %s %s %.2f\n", test, key, amount / (now() - began));
	fflush(stdout);
}

static void write_file(const char *name, size_t size, size_t part, int sync)
{
	const int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0644);

	must(fd >= 0, name);
	for (size_t done = 0; done < size; done += part)
		must(write(fd, buffer, part) == (ssize_t)part, name);
	must(!(sync && fsync(fd)) && !close(fd), name);
}

static void read_file(const char *name, size_t size, size_t part)
{
	const int fd = open(name, O_RDONLY);
	size_t done = 0;
	ssize_t n;

	must(fd >= 0, name);
	while ((n = read(fd, buffer, part)) > 0)
		done += (size_t)n;
	must(n == 0 && done == size && !close(fd), name);
}

/* ---- one file ---- */

static void measure_file(const char *by, size_t size, size_t part)
{
	char test[32], name[32];

	snprintf(name, sizeof(name), "file-%s", by);
	if (makes) {
		begin(0);
		write_file(name, size, part, 1);
		snprintf(test, sizeof(test), "write-%s", by);
		told(test, "mb_per_s", (double)size / LARGE);
	}
	for (int again = 0; reads && again < 2; again++) {
		begin(!again);
		read_file(name, size, part);
		snprintf(test, sizeof(test), "read-%s%s", by, again ? "-again" : "");
		told(test, "mb_per_s", (double)size / LARGE);
	}
	must(!(makes && reads) || !unlink(name), name);
}

/* ---- many files ---- */

static void make(const char *name)
{
	write_file(name, SMALL_FILE, SMALL_FILE, 0);
}

static void look(const char *name)
{
	struct stat st;

	must(!stat(name, &st) && st.st_size == SMALL_FILE, name);
}

static void take(const char *name)
{
	read_file(name, SMALL_FILE, SMALL);
}

static void drop(const char *name)
{
	must(!unlink(name), name);
}

static void each(void (*work)(const char *name))
{
	char name[32];

	for (unsigned int i = 0; i < files; i++) {
		snprintf(name, sizeof(name), "small%u", i);
		work(name);
	}
}

/* As `ls -l` does. */
static void list(void)
{
	DIR *d = opendir(".");
	unsigned int n = 0;
	struct dirent *e;
	struct stat st;

	must(d != NULL, "opendir");
	while ((e = readdir(d))) {
		must(!lstat(e->d_name, &st), e->d_name);
		n += S_ISREG(st.st_mode);
	}
	must(n == files && !closedir(d), "readdir");
}

static void measure_files(void)
{
	static const struct {
		const char *test;
		void (*work)(const char *name); /* of each; NULL: they are listed */
		int cold;
		enum { READS, MAKES, REMOVES } kind;
	} steps[] = {
		{ "create", make, 0, MAKES },	  { "list", NULL, 1, READS },
		{ "list-again", NULL, 0, READS }, { "stat", look, 1, READS },
		{ "open", take, 1, READS },	  { "open-again", take, 0, READS },
		{ "remove", drop, 0, REMOVES },
	};

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		if (!(steps[i].kind == READS   ? reads
		      : steps[i].kind == MAKES ? makes
					       : makes && reads))
			continue;
		begin(steps[i].cold);
		if (steps[i].work)
			each(steps[i].work);
		else
			list();
		if (steps[i].kind != READS)
			sync();
		told(steps[i].test, "rate", files);
	}
}

int main(int argc, char **argv)
{
	must(argc >= 2 && !chdir(argv[1]), "usage: fsrates DIR [FILES [MB [make | read]]]");
	if (argc > 2)
		files = (unsigned int)atoi(argv[2]);
	if (argc > 3)
		mb = (unsigned int)atoi(argv[3]);
	if (argc > 4) {
		makes = !strcmp(argv[4], "make");
		reads = !makes;
	}
	memset(buffer, 'x', sizeof(buffer));
	measure_file("1m", (size_t)mb * LARGE, LARGE);
	measure_file("4k", (size_t)mb * LARGE / 8, SMALL);
	must((!makes || !mkdir("many", 0755)) && !chdir("many"), "many");
	measure_files();
	must(!chdir("..") && (!(makes && reads) || !rmdir("many")), "many");
	return 0;
}

/* The agent: modules, the port and the root of the command. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "boot/agent/agent.h"

#define HOST_NAME "minivmm"

static void make_dir(const char *path)
{
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		fail("make directory", path, errno);
}

/* What every program counts on: in the throw-away layer a link to nowhere gives way to it. */
static void make_own_dir(const char *path)
{
	if (access(path, F_OK) < 0)
		unlink(path);
	make_dir(path);
}

/* A type that the kernel does not know is a module that nobody gave it. */
static void fail_to_mount(const char *what, const char *dir, const char *type)
{
	if (errno == ENODEV)
		fail("find the kernel's module", type, errno);
	fail(what, dir, errno);
}

static void mount_at(const char *what, const char *dir, const char *type, unsigned long flags,
		     const char *data)
{
	make_own_dir(dir);
	if (mount(what, dir, type, flags, data) < 0)
		fail_to_mount("mount", dir, type);
}

/* What the kernel shows of itself. */
static void mount_kernel(void)
{
	mount_at("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	mount_at("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	mount_at("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, NULL);
}

/* ---- modules: /modules/NN-NAME.ko, in the order of their names ---- */

static int is_module(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

static void load_modules(void)
{
	struct dirent **entry;
	const int n = scandir("/modules", &entry, is_module, alphasort);
	char path[300];

	for (int i = 0; i < n; i++) {
		int fd;

		snprintf(path, sizeof(path), "/modules/%s", entry[i]->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST))
			fail("load module", entry[i]->d_name, errno);
		close(fd);
		unlink(path); /* its memory is the command's */
	}
}

/* ---- the port ---- */

/* The device node of the port named JOB_PORT, or -1: not there yet. */
static int find_port(void)
{
	DIR *dir = opendir("/sys/class/virtio-ports");
	struct dirent *e;
	int fd = -1;

	while (dir && fd < 0 && (e = readdir(dir))) {
		char path[300], name[64] = "";
		FILE *f;

		snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", e->d_name);
		f = fopen(path, "re");
		if (!f)
			continue;
		if (fgets(name, sizeof(name), f) && !strcmp(name, JOB_PORT "\n")) {
			snprintf(path, sizeof(path), "/dev/%s", e->d_name);
			fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
		}
		fclose(f);
	}
	if (dir)
		closedir(dir);
	return fd;
}

/*
 * The driver learns of its ports by messages, soon after it is there; a kernel without the driver has nothing to wait
 * for.
 */
int open_port(void)
{
	mount_kernel();
	load_modules();
	for (int ms = 0; ms < 300000 && !access("/sys/class/virtio-ports", F_OK); ms++) {
		const int fd = find_port();

		if (fd >= 0)
			return fd;
		usleep(1000);
	}
	fail("find", "the port of minivmm", ENODEV);
}

/* ---- the root ---- */

/* Directory @path with all above it, as the command will see it. */
static void make_path(const char *path)
{
	char part[4096];

	for (size_t i = 1; path[i - 1]; i++)
		if (path[i] == '/' || !path[i]) {
			snprintf(part, sizeof(part), "%.*s", (int)i, path);
			make_dir(part);
		}
}

static void mount_share(const char *fs, bool root)
{
	char tag[64], mode[4];
	const char *dir;
	int at = 0;

	if (sscanf(fs, "%63[^:]:%3[^:]:%n", tag, mode, &at) < 2 || !at)
		fail("understand", fs, EINVAL);
	dir = root ? "/lower" : fs + at;
	make_path(dir);
	if (mount(tag, dir, "virtiofs", MS_NOSUID | MS_NODEV | (strcmp(mode, "rw") ? MS_RDONLY : 0),
		  NULL) < 0)
		fail_to_mount("mount the share at", dir, "virtiofs");
}

/* Modes that every program counts on. */
static void mount_system(const struct job *job)
{
	mount_kernel();
	mount_at("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "mode=0620,ptmxmode=0666");
	mount_at("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
	if (!job->run_is_roots)
		mount_at("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755");
	make_own_dir("/tmp");
	chmod("/tmp", 01777);
	symlink("/proc/self/fd", "/dev/fd");
	symlink("/proc/self/fd/0", "/dev/stdin");
	symlink("/proc/self/fd/1", "/dev/stdout");
	symlink("/proc/self/fd/2", "/dev/stderr");
	unlink("/dev/ptmx"); /* devpts has its own */
	symlink("pts/ptmx", "/dev/ptmx");
}

/* Whether a line of hosts(5) has @name. */
static bool has_host(FILE *f, const char *name)
{
	char *line = NULL;
	size_t room = 0;
	bool found = false;

	rewind(f);
	while (!found && getline(&line, &room, f) > 0) {
		char *rest = line, *word;

		line[strcspn(line, "#\n")] = '\0';
		while (!found && (word = strsep(&rest, " \t")))
			found = !strcmp(word, name);
	}
	free(line);
	return found;
}

/* Images leave it to whoever runs them that localhost and the machine's own name are known. */
static void name_hosts(void)
{
	static const struct {
		const char *name, *lines;
	} hosts[] = {
		{ "localhost",
		  "\n127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n" },
		{ HOST_NAME, "\n127.0.1.1 " HOST_NAME "\n" },
	};
	FILE *f;

	make_own_dir("/etc");
	if (access("/etc/hosts", F_OK) < 0)
		unlink("/etc/hosts"); /* a link to nowhere */
	f = fopen("/etc/hosts", "a+e");
	for (size_t i = 0; f && i < sizeof(hosts) / sizeof(hosts[0]); i++)
		if (!has_host(f, hosts[i].name))
			fputs(hosts[i].lines, f);
	if (f)
		fclose(f);
}

void mount_root(const struct job *job)
{
	mount_share(job->fs[0], true);
	mount_at("tmpfs", "/layer", "tmpfs", 0, "mode=0755,size=80%");
	make_dir("/layer/upper");
	make_dir("/layer/work");
	mount_at("overlay", "/root", "overlay", 0,
		 "redirect_dir=on,lowerdir=/lower,upperdir=/layer/upper,workdir=/layer/work");
	if (chdir("/root") < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
	    chdir("/") < 0)
		fail("change to", "the root", errno);
	mount_system(job);
	sethostname(HOST_NAME, strlen(HOST_NAME));
	name_hosts();
}

void mount_shares(const struct job *job)
{
	for (const char **fs = job->fs + 1; *fs; fs++)
		mount_share(*fs, false);
}

/* `minivmm run`: from its command line to a machine. */
#include "vmm/run.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "boot/boot.h"
#include "vmm/base/log.h"
#include "vmm/files.h"
#include "vmm/host_kernel.h"
#include "vmm/junit.h"
#include "vmm/run_internal.h"
#include "vmm/sandbox.h"
#include "vmm/status.h"

#define OUT_DIR "/out" /* where the guest sees --out */

/* An option that may be given several times. */
struct list {
	const char **item;
	unsigned int nr;
};

struct run {
	const char *root, *kernel, *out, *cwd, *net, *log, *junit, *stats;
	struct list shares, env;
	struct option_user user;
	uint64_t mem, timeout_ms, kill_after_ms;
	unsigned int cpus, sandbox;
	bool tty, verbose;
	char **command; /* NULL-terminated */
};

static int push(struct list *l, const char *text)
{
	const char **more = reallocarray(l->item, l->nr + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	l->item = more;
	l->item[l->nr++] = text;
	return 0;
}

static int add_item(void *at, const char *text)
{
	return *text ? push(at, text) : -EINVAL;
}

static int add_env(void *at, const char *text)
{
	return *text == '=' ? -EINVAL : add_item(at, text);
}

static int set_absolute(void *at, const char *text)
{
	*(const char **)at = text;
	return *text == '/' ? 0 : -EINVAL;
}

#define AT(field) offsetof(struct run, field)
static const struct option rows[] = {
	{ "root", OPTION_TEXT, AT(root), "DIR",
	  "the root of its file system, which stays as it is: changes are\nthrown away",
	  .wanted = "a directory" },
	{ "share", OPTION_OTHER, AT(shares), "HOST[:GUEST][:rw]",
	  "a directory of the host, seen at GUEST (may be given several times)", .parse = add_item,
	  .wanted = "HOST[:GUEST][:rw]" },
	{ "out", OPTION_TEXT, AT(out), "DIR",
	  "a directory for what it leaves: /out there, and $OUT", .wanted = "a directory" },
	{ "kernel", OPTION_TEXT, AT(kernel), "FILE",
	  "bzImage, with its modules beside it, in ../lib/modules or in\n/lib/modules (the host's own)",
	  .wanted = "a file" },
	{ "env", OPTION_OTHER, AT(env), "NAME[=VALUE]",
	  "in its environment; without a value, minivmm's own\n(may be given several times)",
	  .parse = add_env, .wanted = "NAME or NAME=VALUE" },
	{ "cwd", OPTION_OTHER, AT(cwd), "DIR", "where it starts", .parse = set_absolute,
	  .wanted = "an absolute path", .preset = "/" },
	{ "user", OPTION_USER, AT(user), "UID[:GID]",
	  "as whom it runs there, and whose the shared files are\nthat are yours here",
	  .preset = "0:0" },
	{ "net", OPTION_TEXT, AT(net), "passt|TAP|none",
	  "a network card: passt carries its traffic on, without any\n"
	  "rights; or on tap TAP, KEY=VALUE,... as --net of a machine, and its\n"
	  "own ip=A.B.C.D/N, gw=A.B.C.D, dns=A.B.C.D",
	  .wanted = "none, passt or a tap", .preset = "none" },
	{ "timeout", OPTION_TIME, AT(timeout_ms), "TIME",
	  "SIGTERM after TIME, such as 500ms, 30s or 5m; status 124",
	  .max = 365ull * 24 * 3600 * 1000 },
	{ "kill-after", OPTION_TIME, AT(kill_after_ms), "TIME",
	  "after SIGTERM the machine has so much more", .preset = "10s",
	  .max = 365ull * 24 * 3600 * 1000 },
	{ "tty", OPTION_SWITCH, AT(tty), NULL, "a terminal for the command" },
	{ "log", OPTION_OUTPUT, AT(log), "FILE", "all that the guest's kernel says",
	  .wanted = "a file" },
	{ "junit", OPTION_OUTPUT, AT(junit), "FILE",
	  "a report for a CI system: time, status, the last output; it\nis there whatever happens",
	  .wanted = "a file" },
	{ "stats", OPTION_TEXT, AT(stats), "FILE",
	  "counters and phases as JSON at the end\n(- for standard error)",
	  .wanted = "a file or -" },
	{ "mem", OPTION_SIZE, AT(mem), "SIZE", "memory", .preset = "1G", .min = 64 * MIB,
	  .max = 1024 * GIB },
	{ "cpus", OPTION_NUMBER, AT(cpus), "N", "virtual CPUs", .preset = "1", .min = 1,
	  .max = 4096 },
	{ "sandbox", OPTION_WORD, AT(sandbox), "MODE",
	  "on, off, or log what it would forbid (on, where the host's kernel can)",
	  .words = sandbox_words, .min = SANDBOX_ON },
	{ "verbose", OPTION_SWITCH, AT(verbose), NULL, "say what is chosen and why" },
	{ "help", OPTION_ACTION, 0, NULL, "this text" },
	{ 0 },
};

const struct option_group run_options = {
	.name = "run",
	.size = sizeof(struct run),
	.of = (const struct option_rows[]){ { rows, 0 }, { 0 } },
};

const char run_exit_status[] =
	"the command's own; 124 timed out; 125 minivmm or this host could not; 126 not\n"
	"executable; 127 not found; 128+N ended by signal N; 134 the guest ended without a word of it.";

void run_help(FILE *f)
{
	fputs("usage: minivmm run --root DIR [OPTION]... -- COMMAND [ARGUMENT]...\n"
	      "Runs a command in a virtual machine of its own.\n\n",
	      f);
	options_help(f, &run_options, "  ", true);
	fprintf(f, "\nExit status: %s\n", run_exit_status);
}

/* ---- what the job's file says ---- */

void run_put(FILE *job, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(job, fmt, ap);
	va_end(ap);
	putc(0, job);
}

/* Whether there is one of that name among those given, from the @from-th on; "NAME=VALUE" is a name, too. */
static bool has_env(const struct run *run, unsigned int from, const char *name)
{
	const size_t n = strcspn(name, "=");

	for (unsigned int i = from; i < run->env.nr; i++)
		if (!strncmp(run->env.item[i], name, n) &&
		    (!run->env.item[i][n] || run->env.item[i][n] == '='))
			return true;
	return false;
}

static void put_unless_given(FILE *job, const struct run *run, const char *env)
{
	if (!has_env(run, 0, env))
		run_put(job, "env=%s", env);
}

/* Nothing of this process's own goes in unasked; what every program counts on does, unless it is given. */
static void put_env(FILE *job, const struct run *run)
{
	const char *term = getenv("TERM");

	put_unless_given(job, run,
			 "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	put_unless_given(job, run, "HOME=/");
	if (run->out)
		put_unless_given(job, run, "OUT=" OUT_DIR);
	if (run->tty && term && !has_env(run, 0, "TERM"))
		run_put(job, "env=TERM=%s", term);
	for (unsigned int i = 0; i < run->env.nr; i++) {
		const char *e = run->env.item[i], *value = getenv(e);

		if (has_env(run, i + 1, e))
			continue; /* the last one counts */
		if (strchr(e, '='))
			run_put(job, "env=%s", e);
		else if (value)
			run_put(job, "env=%s=%s", e, value);
	}
}

static void put_tty(FILE *job)
{
	struct winsize size = { .ws_row = 24, .ws_col = 80 };

	ioctl(STDIN_FILENO, TIOCGWINSZ, &size);
	run_put(job, "tty=%hux%hu", size.ws_row, size.ws_col);
}

/* ---- directories ---- */

/* `--fs` with its commas doubled; @mode is "rw" or one of its keys. */
static int add_fs(struct config *config, const struct option_group *const *devices, const char *dir,
		  const char *tag, const char *mode, const struct option_user *owner)
{
	char *text = malloc(2 * strlen(dir) + strlen(tag) + 64), *to = text;
	const bool writable = !strcmp(mode, "rw");
	struct stat st;
	int ret;

	if (!text)
		return -ENOMEM;
	to = stpcpy(to, "dir=");
	for (const char *c = dir; *c; c++) {
		if (*c == ',')
			*to++ = ',';
		*to++ = *c;
	}
	to += sprintf(to, ",tag=%s,%s", tag, writable ? "ro=off" : mode);
	if (owner)
		sprintf(to, ",owner=%u:%u", owner->uid, owner->gid);
	ret = stat(dir, &st) < 0 ? -errno : S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
	if (!ret && access(dir, writable ? R_OK | W_OK | X_OK : R_OK | X_OK) < 0)
		ret = -errno;
	if (ret)
		log_error("cannot share directory '%s': %s", dir, strerror(-ret));
	else
		ret = config_add_device(config, devices, "fs", text);
	free(text);
	return ret;
}

/* One slash between names, none at the end: what hides what is then plain. False of what has no fixed place. */
static bool tidy(char *path)
{
	char *to = path;

	if (*path != '/')
		return false;
	for (const char *at = path; *at; at += strcspn(at, "/")) {
		size_t n;

		at += strspn(at, "/");
		n = strcspn(at, "/");
		if (!n)
			break;
		if ((n == 1 && *at == '.') || (n == 2 && !strncmp(at, "..", 2)))
			return false;
		*to++ = '/';
		memmove(to, at, n);
		to += n;
	}
	*to = '\0';
	return *path;
}

/* Shares that would hide each other, the root, or what every program counts on. */
static int check_place(const struct list *places, const char *guest)
{
	static const char *const own[] = { "/dev", "/proc", "/sys" };
	const size_t n = strlen(guest);

	for (unsigned int i = 0; i < ARRAY_SIZE(own); i++) {
		const size_t len = strlen(own[i]);

		/* In /dev others can be made. */
		if (!strncmp(own[i], guest, len) && (!guest[len] || (i && guest[len] == '/')))
			return log_fail(-EINVAL,
					"cannot share at '%s': the guest has its own there", guest);
	}
	for (unsigned int i = 0; i < places->nr; i++) {
		const char *other = places->item[i];

		if (!strcmp(other, guest))
			return log_fail(-EINVAL, "cannot share two directories at '%s'", guest);
		if (!strncmp(other, guest, n) && other[n] == '/')
			return log_fail(-EINVAL,
					"cannot share at '%s': it would hide '%s' (name it first)",
					guest, other);
	}
	return 0;
}

struct shares {
	struct config *config;
	const struct option_group *const *devices;
	FILE *job;
	const struct option_user *owner;
	unsigned int nr;
	struct list places; /* taken */
};

/* @text is how the user named it. */
static int share(struct shares *s, const char *text, const char *host, char *guest, bool writable)
{
	const char *mode = writable ? "rw" : "ro";
	char tag[16];
	int ret;

	if (!tidy(guest) || strlen(guest) >= PATH_MAX)
		return log_fail(
			-EINVAL,
			"cannot share '%s': its place in the guest must be an absolute path below /, without . and .., of at most 4095 bytes (HOST:GUEST, HOST:GUEST:rw)",
			text);
	ret = check_place(&s->places, guest) ?: push(&s->places, guest);
	if (ret)
		return ret;
	snprintf(tag, sizeof(tag), "share%u", s->nr++);
	ret = add_fs(s->config, s->devices, host, tag, mode, s->owner);
	run_put(s->job, "fs=%s:%s:%s", tag, mode, guest);
	return ret;
}

/* HOST[:GUEST][:rw]; the copy stays. */
static int share_text(struct shares *s, const char *text)
{
	char *host = strdup(text), *mode, *guest;
	bool writable = false;

	if (!host)
		return -ENOMEM;
	mode = strrchr(host, ':');
	if (mode && (!strcmp(mode, ":rw") || !strcmp(mode, ":ro"))) {
		writable = mode[2] == 'w';
		*mode = '\0';
	}
	guest = strrchr(host, ':');
	if (guest)
		*guest++ = '\0';
	else
		guest = strdup(host); /* it will be tidied */
	return guest ? share(s, text, host, guest, writable) : -ENOMEM;
}

/*
 * What is mounted at a host's /run is about programs that run there, and not in the guest; that of an image is a part of it,
 * with directories that its programs count on.
 */
static bool is_run_of_root(const char *root)
{
	const int fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat st[2];
	const bool is = fd >= 0 && !fstat(fd, &st[0]) &&
			!fstatat(fd, "run", &st[1], AT_SYMLINK_NOFOLLOW) &&
			S_ISDIR(st[1].st_mode) && st[0].st_dev == st[1].st_dev;

	close_fd(fd);
	return is;
}

/* With the root there are at most as many as --fs takes. */
static int check_number(const struct option_group *const *devices, unsigned int nr)
{
	while (strcmp((*devices)->name, "fs"))
		devices++;
	if (nr < (*devices)->max)
		return 0;
	return log_fail(-EINVAL, "cannot share %u directories: at most %u, of which --out is one",
			nr, (*devices)->max - 1);
}

static int share_all(struct config *config, const struct option_group *const *devices,
		     const struct run *run, FILE *job)
{
	struct shares s = { .config = config, .devices = devices, .job = job, .owner = &run->user };
	static char out[] = OUT_DIR;
	int ret = check_number(devices, run->shares.nr + !!run->out)
			  ?: add_fs(config, devices, run->root, "root", "frozen",
				    geteuid() ? &run->user : NULL);

	run_put(job, "fs=root:ro:/");
	if (is_run_of_root(run->root))
		run_put(job, "run=root");
	/* First, as shares may lie below it. */
	if (!ret && run->out) {
		if (mkdir(run->out, 0777) < 0 && errno != EEXIST) {
			ret = -errno;
			log_error("cannot make directory '%s': %s", run->out, strerror(-ret));
		} else {
			ret = share(&s, run->out, run->out, out, true);
		}
	}
	for (unsigned int i = 0; !ret && i < run->shares.nr; i++)
		ret = share_text(&s, run->shares.item[i]);
	return ret;
}

/* ---- the command line ---- */

static int parse(struct run *run, int argc, char **argv, enum config_action *action)
{
	const struct option *said = NULL;
	int ret = 0, i;

	for (i = 1; !ret && !said && i < argc && strcmp(argv[i], "--"); i++)
		if (strncmp(argv[i], "--", 2)) {
			ret = log_fail(
				-EINVAL,
				"unexpected argument '%s' (the command comes behind --; see minivmm run --help)",
				argv[i]);
		} else {
			ret = options_next_word(&run_options, run, argc, argv, &i, &said);
		}
	if (said)
		*action = CONFIG_HELP;
	if (ret || said)
		return ret;
	if (!run->root)
		return log_fail(-EINVAL,
				"no root given (say --root DIR; / is this host's own, read-only)");
	if (i + 1 >= argc)
		return log_fail(-EINVAL, "no command given (say -- COMMAND [ARGUMENT]...)");
	run->command = argv + i + 1;
	return 0;
}

static int make_initramfs(struct config *config, const struct run *run, const void *job,
			  size_t job_len)
{
	char release[128], dir[PATH_MAX];
	int ret = boot_kernel_release(config->kernel, release, sizeof(release));

	if (ret)
		return ret;
	host_modules(dir, "", config->kernel, release);
	log_info("kernel %s, modules %s", release, *dir ? dir : "built in");
	ret = boot_agent_initramfs(&config->job->initramfs, &config->job->initramfs_len,
				   *dir ? dir : NULL, strcmp(run->net, "none") != 0, job, job_len);
	if (!ret)
		log_info("initramfs of %zu bytes", config->job->initramfs_len);
	return ret;
}

/* Before anything can fail: a report is written whatever happens. Not over what this run reads or writes besides. */
static int open_report(const struct run *run, struct junit *junit)
{
	static char *const none[] = { (char *)"minivmm run", NULL };
	struct files files = { .nr = 0 };
	const int ret = files_add_inherited(&files, "standard input", STDIN_FILENO, false) ?:
			files_add_inherited(&files, "standard output", STDOUT_FILENO, true) ?:
			files_add_inherited(&files, "standard error", STDERR_FILENO, true) ?:
			files_add(&files, "kernel", run->kernel, false) ?:
			files_add(&files, "log", run->log, true) ?:
			files_add(&files, "stats file", run->stats, true);

	return ret ?: junit_open(junit, run->junit, run->command ? run->command : none, &files);
}

/* As `2>&1` and a terminal have it. */
static bool is_same_file(int a, int b)
{
	struct stat st[2];

	return !fstat(a, &st[0]) && !fstat(b, &st[1]) && st[0].st_dev == st[1].st_dev &&
	       st[0].st_ino == st[1].st_ino;
}

/* What the job's file says, but for its directories and network. */
static void put_command(FILE *job, const struct run *run)
{
	for (char **arg = run->command; *arg; arg++)
		run_put(job, "arg=%s", *arg);
	run_put(job, "cwd=%s", run->cwd);
	run_put(job, "user=%u:%u", run->user.uid, run->user.gid);
	put_env(job, run);
	if (run->tty)
		put_tty(job);
	else if (is_same_file(STDOUT_FILENO, STDERR_FILENO))
		run_put(job, "err=out");
}

static int make_job(struct config *config, const struct option_group *const *devices,
		    const struct run *run)
{
	struct utsname host;
	char *text = NULL;
	size_t len = 0;
	FILE *job;
	int ret;

	uname(&host);
	config->kernel = run->kernel ? run->kernel : host_kernel("", host.release);
	if (!config->kernel)
		return -ENOENT;
	config->append = "console=ttyS0 quiet panic=-1";
	config->mem = run->mem;
	config->cpus = run->cpus;
	config->stats = run->stats;
	config->timeout_ms = run->timeout_ms;
	config->sandbox = run->sandbox;
	config->verbose = run->verbose;
	log_set_verbose(run->verbose);
	job = open_memstream(&text, &len);
	if (!job)
		return -ENOMEM;
	put_command(job, run);
	ret = share_all(config, devices, run, job) ?: run_net_add(config, devices, run->net, job);
	if (fclose(job) && !ret)
		ret = -ENOMEM;
	if (!ret) /* the network has had the time that the rest takes */
		ret = make_initramfs(config, run, text, len) ?: run_net_ready();
	if (ret)
		run_end();
	free(text);
	return ret;
}

int run_parse(struct config *config, const struct option_group *const *devices, int argc,
	      char **argv, enum config_action *action)
{
	static struct config_job streams;
	struct junit *junit = junit_create();
	struct run run;
	int ret, opened = 0;

	options_init(&run_options, &run);
	config_init(config);
	*action = CONFIG_RUN;
	ret = parse(&run, argc, argv, action);
	if (*action == CONFIG_RUN && run.junit && junit)
		opened = open_report(&run, junit);
	if (*action != CONFIG_RUN || !run.junit || opened) {
		junit_destroy(junit);
		junit = NULL;
	}
	if (ret || *action != CONFIG_RUN)
		goto out;
	config->job = &streams;
	streams = (struct config_job){
		.in = STDIN_FILENO,
		.out = STDOUT_FILENO,
		.err = STDERR_FILENO,
		.kill_after_ms = run.kill_after_ms,
		.junit = junit,
		.log = run.log,
		.tty = run.tty,
	};
	ret = opened ? opened : make_job(config, devices, &run);
out:
	if (ret)
		junit_finish(junit, STATUS_CANNOT, status_patience(NULL));
	return ret;
}

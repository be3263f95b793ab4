/* `minivmm doctor`. */
#include "vmm/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/route.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "boot/boot.h"
#include "vmm/arch.h"
#include "vmm/base/log.h"
#include "vmm/host_kernel.h"
#include "vmm/kvm.h"
#include "vmm/run_internal.h"
#include "vmm/sandbox.h"
#include "vmm/status.h"

#define PROBE_MEMORY (16 * MIB)

struct doctor {
	const struct doctor_host *host;
	FILE *out;
	bool failed;
	char said[1024]; /* the last message that would have been an error */
	char found[512]; /* what a check found */
	char release[128], modules[PATH_MAX];
	char *own_kernel; /* where none was asked for */

	const char *kernel, *net; /* the options */
	uint64_t mem;
};

#define AT(field) offsetof(struct doctor, field)
static const struct option rows[] = {
	{ "kernel", OPTION_TEXT, AT(kernel), "FILE",
	  "the kernel that jobs are to have (the host's own)", .wanted = "a file" },
	{ "net", OPTION_TEXT, AT(net), "passt|TAP|none", "the network that they are to have",
	  .wanted = "passt, none or a tap", .preset = "none" },
	{ "mem", OPTION_SIZE, AT(mem), "SIZE", "the memory of one", .preset = "1G", .min = 64 * MIB,
	  .max = 1024 * GIB },
	{ "help", OPTION_ACTION, 0, NULL, "this text" },
	{ 0 },
};

const struct option_group doctor_options = {
	.name = "doctor",
	.size = sizeof(struct doctor),
	.of = (const struct option_rows[]){ { rows, 0 }, { 0 } },
};

/* ---- what is said ---- */

static bool keep(void *arg, const char *text, bool error)
{
	struct doctor *d = arg;

	if (error)
		snprintf(d->said, sizeof(d->said), "%s", text);
	return false;
}

__attribute__((format(printf, 2, 3))) static int found(struct doctor *d, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(d->found, sizeof(d->found), fmt, ap);
	va_end(ap);
	return 0;
}

/* What a path is on this host; valid until the next call. */
static const char *at(struct doctor *d, const char *path)
{
	static char buf[PATH_MAX];

	snprintf(buf, sizeof(buf), "%s%s", d->host->root, path);
	return buf;
}

/* ---- the checks: 0 with found(), -errno with a message ---- */

static int native(int fd)
{
	struct guestmem mem;
	struct kvm kvm;
	int ret = guestmem_init(&mem, PROBE_MEMORY, NULL);

	if (ret) {
		close(fd);
		return ret;
	}
	ret = kvm_create(&kvm, fd, &mem, NULL); /* it closes fd */
	if (!ret) {
		ret = arch_kernel_mode_native(&kvm, &mem);
		kvm_destroy(&kvm);
	}
	guestmem_destroy(&mem);
	return ret;
}

static int check_kvm(struct doctor *d)
{
	const int fd = kvm_open(at(d, "/dev/kvm")),
		  ret = fd < 0 ? fd : d->host->kernel_mode_native(fd);

	if (ret > 0)
		return found(d, "a vCPU of it runs a kernel's code on the processor");
	if (ret < 0)
		return ret;
	return log_fail(
		-ENOTSUP,
		"KVM emulates a guest's kernel mode and does not know all of it, so no stock kernel runs (use a host with VMX or SVM, or with nested virtualisation switched on)");
}

static int check_kernel(struct doctor *d)
{
	if (!d->kernel)
		d->kernel = d->own_kernel = host_kernel(d->host->root, d->host->release);
	if (!d->kernel)
		return -ENOENT;
	return boot_kernel_release(d->kernel, d->release, sizeof(d->release))
		       ?: found(d, "%s is %s", d->kernel, d->release);
}

static int check_modules(struct doctor *d)
{
	host_modules(d->modules, d->host->root, d->kernel, d->release);
	if (*d->modules)
		return found(d, "in %s", d->modules);
	return log_fail(
		-ENOENT,
		"no folder of modules for %s, with the kernel, in ../lib/modules or ../usr/lib/modules beside it, or in /lib/modules: right if all is built in (else install its package, or dpkg -x it)",
		d->release);
}

/* The least of @least and of what @group, below @mount, and those above it may have, in bytes. */
static unsigned long long least_limit(struct doctor *d, const char *mount, char *group,
				      const char *name, unsigned long long least)
{
	unsigned long long limit;
	char path[PATH_MAX], *slash;

	do {
		snprintf(path, sizeof(path), "%s%s/%s", mount, group, name);
		FILE *f = fopen(at(d, path), "re");

		if (f && fscanf(f, "%llu", &limit) == 1)
			least = MIN(least, limit);
		if (f)
			fclose(f);
		slash = strrchr(group, '/');
		if (slash)
			*slash = '\0';
	} while (slash);
	return least;
}

/* What this process's cgroups let it have, in bytes; ULLONG_MAX: all. */
static unsigned long long cgroup_limit(struct doctor *d)
{
	FILE *f = fopen(at(d, "/proc/self/cgroup"), "re");
	unsigned long long least = ULLONG_MAX;
	char line[PATH_MAX];

	while (f && fgets(line, sizeof(line), f)) { /* NUMBER:CONTROLLERS:PATH */
		char *rest = line, *kind;

		strsep(&rest, ":");
		kind = strsep(&rest, ":");
		if (!rest)
			continue;
		rest[strcspn(rest, "\n")] = '\0';
		if (!*kind) /* version 2 */
			least = least_limit(d, "/sys/fs/cgroup", rest, "memory.max", least);
		else if (strstr(kind, "memory"))
			least = least_limit(d, "/sys/fs/cgroup/memory", rest,
					    "memory.limit_in_bytes", least);
	}
	if (f)
		fclose(f);
	return least;
}

static int check_memory(struct doctor *d)
{
	const unsigned long long limit = cgroup_limit(d);
	void *all = mmap(NULL, d->mem, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	unsigned long long kib = 0;
	FILE *f = fopen(at(d, "/proc/meminfo"), "re");
	char line[128];

	while (f && fgets(line, sizeof(line), f) && sscanf(line, "MemAvailable: %llu", &kib) != 1)
		;
	if (f)
		fclose(f);
	if (all == MAP_FAILED)
		return log_fail(-ENOMEM, "cannot reserve %llu MiB: %s (ulimit -v unlimited)",
				(unsigned long long)(d->mem / MIB), strerror(errno));
	munmap(all, d->mem);
	if (limit < d->mem)
		return log_fail(
			-ENOMEM,
			"this cgroup may have %llu MiB, and a job gets %llu: one that uses them is killed (raise the limit, or give it less: minivmm run --mem %lluM)",
			limit / MIB, (unsigned long long)(d->mem / MIB),
			MAX(limit / 2 / MIB, 64ull)); /* what run takes at least */
	if (!kib)
		return found(d, "%llu MiB", (unsigned long long)(d->mem / MIB));
	if (kib * KIB >= d->mem)
		return found(d, "%llu MiB, of %llu that are free",
			     (unsigned long long)(d->mem / MIB), kib / 1024);
	return log_fail(
		-ENOMEM,
		"%llu MiB are free, and a job gets %llu (give it less: minivmm run --mem %lluM)",
		kib / 1024, (unsigned long long)(d->mem / MIB), kib / 2048);
}

static int check_passt(struct doctor *d)
{
	char *list = strdup(d->host->path), *rest = list, *dir, path[PATH_MAX];
	int ret = -ENOENT;

	while (ret && (dir = strsep(&rest, ":"))) {
		snprintf(path, sizeof(path), "%s/passt", dir);
		if (access(path, X_OK) == 0)
			ret = found(d, "%s", path);
	}
	free(list);
	if (ret)
		log_error("this host has no passt (sudo apt-get install passt)");
	return ret;
}

/* passt carries the guest's traffic on from here, and ends at once where there is no way out. */
static int check_route(struct doctor *d)
{
	FILE *f = fopen(at(d, "/proc/net/route"), "re");
	char line[256], name[IFNAMSIZ];
	unsigned int to, flags, mask;
	int ret = -ENETUNREACH;

	while (f && ret && fgets(line, sizeof(line), f))
		if (sscanf(line, "%15s %x %*x %x %*d %*d %*d %x", name, &to, &flags, &mask) == 4 &&
		    !to && !mask && (flags & (RTF_UP | RTF_REJECT)) == RTF_UP)
			ret = found(d, "by %s", name);
	if (f)
		fclose(f);
	if (ret)
		log_error(
			"this host has no default route, and passt ends without one (sudo ip route add default via GATEWAY)");
	return ret;
}

static void no_tap(const char *name, int err)
{
	const char *help =
		err == EINVAL  ? "an interface that is no tap has that name: --net another"
		: err == EBUSY ? "another program holds it: --net another"
			       : "sudo ip tuntap add tap0 mode tap user $USER, and then --net tap0";

	log_error("cannot %s%s: %s (%s)", *name ? "open tap " : "make a tap", name, strerror(err),
		  help);
}

/*
 * The tap in @net, which is as run takes it: NAME, or KEY=VALUE, and more of them. Its name, "" where the kernel picks
 * one, NULL where it is no tap; the copy at *@list holds it.
 */
static const char *tap_in(const char *net, char **list)
{
	char *rest = *list = strdup(net), *word;
	const char *name = NULL;

	for (bool first = true; (word = strsep(&rest, ",")); first = false)
		if (!strncmp(word, "tap=", 4))
			name = word + 4;
		else if (first && !strchr(word, '='))
			name = word;
		else if (!name && !strncmp(word, "bridge=", 7))
			name = "";
	return name;
}

/* Made, or opened if it is there, as one of its queues. */
static int try_tap(int fd, const char *name)
{
	static const short flags[] = { 0, IFF_MULTI_QUEUE };
	int ret = -EINVAL;

	for (unsigned int i = 0; ret == -EINVAL && i < ARRAY_SIZE(flags); i++) {
		struct ifreq ifr = { .ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR |
							  flags[i]) };

		snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
		ret = ioctl(fd, TUNSETIFF, &ifr) < 0 ? -errno : 0;
	}
	return ret;
}

static int check_named_tap(struct doctor *d, const char *name)
{
	static const struct option interface = { "tap", OPTION_INTERFACE };
	const char *node = at(d, "/dev/net/tun"), *valid;
	int fd, ret;

	if (*name && option_set(&interface, &valid, 0, name))
		return -EINVAL;
	fd = open(node, O_RDWR | O_CLOEXEC);
	ret = fd < 0 ? -errno : 0;
	if (ret)
		return log_fail(ret, "cannot open %s: %s (%s)", node, strerror(-ret),
				ret == -EACCES	? LOG_OPEN_NODE(node, "/dev/net/tun", "", "")
				: ret == -EPERM ? LOG_GIVE_NODE("/dev/net/tun")
						: "sudo modprobe tun");
	ret = try_tap(fd, name);
	close(fd);
	if (!ret)
		return found(d, "%s", *name ? name : "taps can be made");
	no_tap(name, -ret);
	return ret;
}

static int check_tap(struct doctor *d)
{
	const bool wanted = strcmp(d->net, "none") && strcmp(d->net, "passt");
	char *list = NULL;
	const char *name = wanted ? tap_in(d->net, &list) : "";
	int ret = run_net_check(d->net);

	if (!ret)
		ret = name ? check_named_tap(d, name)
			   : found(d, "not needed: --net %s is none", d->net);
	free(list);
	return ret;
}

static int check_vhost(struct doctor *d)
{
	const char *node = at(d, "/dev/vhost-net");
	const int fd = open(node, O_RDWR | O_CLOEXEC), err = errno;

	if (fd >= 0) {
		close(fd);
		return found(d, "the host's kernel can move a card's frames");
	}
	return log_fail(-err, "cannot open %s: %s (%s)", node, strerror(err),
			err == EACCES  ? LOG_OPEN_NODE(node, "/dev/vhost-net", "", "")
			: err == EPERM ? LOG_GIVE_NODE("/dev/vhost-net")
				       : "sudo modprobe vhost_net");
}

static int check_sandbox(struct doctor *d)
{
	const unsigned int abi = d->host->landlock();

	if (abi && d->host->seccomp())
		return found(d, "seccomp, and version %u of Landlock", abi);
	return log_fail(
		-ENOSYS,
		"this host's kernel has no %s, so jobs run without (boot it with lsm=landlock,... or a newer one)",
		abi		     ? "seccomp"
		: d->host->seccomp() ? "Landlock"
				     : "Landlock and no seccomp");
}

/* ---- all of them ---- */

/* @needed: by what was asked for; else @what_for says who needs it. True if it is well. */
static bool tell(struct doctor *d, const char *name, int ret, bool needed, const char *what_for)
{
	const char *word = !ret ? "ok" : needed ? "FAIL" : "note";

	d->failed |= ret && needed;
	fprintf(d->out, "%-5s %-14s %s%s\n", word, name, ret ? d->said : d->found,
		ret && !needed ? what_for : "");
	return !ret;
}

static void tell_modules(struct doctor *d, const char *const *names, bool needed)
{
	for (; *names; names++) {
		const int ret = boot_module_check(d->modules, *names);

		if (!ret)
			found(d, "module or built in");
		tell(d, *names, ret, needed, "; for --net only");
	}
}

static void examine(struct doctor *d)
{
	const bool passt = !strcmp(d->net, "passt"), net = strcmp(d->net, "none");

	tell(d, "kvm", check_kvm(d), true, "");
	if (tell(d, "kernel", check_kernel(d), true, "") &&
	    tell(d, "modules", check_modules(d), false, "")) {
		tell_modules(d, boot_agent_modules, true);
		tell_modules(d, boot_agent_net_modules, net);
	}
	tell(d, "memory", check_memory(d), true, "");
	tell(d, "passt", check_passt(d), passt, "; for --net passt only");
	tell(d, "route", check_route(d), passt, "; for --net passt only");
	tell(d, "tap", check_tap(d), net && !passt, "; for --net TAP only");
	tell(d, "vhost_net", check_vhost(d), false, "; for --net TAP,vhost=on only");
	tell(d, "sandbox", check_sandbox(d), false, "");
}

const char doctor_exit_status[] = "0 it can; 125 it cannot.";

static void help(FILE *out)
{
	fputs("usage: minivmm doctor [OPTION]...\n"
	      "Whether minivmm run can work on this host, a line for each thing that it takes: ok, FAIL with what\n"
	      "mends it, or note for what only other options need.\n\n",
	      out);
	options_help(out, &doctor_options, "  ", true);
	fprintf(out, "\nExit status: %s\n", doctor_exit_status);
}

void doctor_this_host(struct doctor_host *host)
{
	static struct utsname name;

	uname(&name);
	*host = (struct doctor_host){
		.root = "",
		.release = name.release,
		.path = getenv("PATH") ?: "/usr/bin:/bin",
		.kernel_mode_native = native,
		.landlock = sandbox_landlock,
		.seccomp = sandbox_seccomp,
	};
}

int doctor_main(const struct doctor_host *host, FILE *out, int argc, char **argv)
{
	const struct option *said = NULL;
	struct doctor d;
	int ret = 0;

	options_init(&doctor_options, &d);
	d.host = host;
	d.out = out;
	for (int i = 1; !ret && !said && i < argc; i++)
		ret = options_next_word(&doctor_options, &d, argc, argv, &i, &said);
	if (ret)
		return STATUS_CANNOT;
	if (said) {
		help(out);
		return STATUS_ENDED;
	}
	log_set_hook(keep, &d);
	examine(&d);
	log_set_hook(NULL, NULL);
	free(d.own_kernel);
	return d.failed ? STATUS_CANNOT : STATUS_ENDED;
}

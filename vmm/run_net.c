/* The network of `minivmm run`. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/log.h"
#include "vmm/passt.h"
#include "vmm/run.h"
#include "vmm/run_internal.h"

/* Where it was started, the machine has one end. */
static struct passt passt = { .socket = -1, .words = -1 };

/* Cuts `KEY=VALUE` out of the list @text; the value, "" where it is not there, NULL for want of memory. */
static char *take_key(char *text, const char *key)
{
	const size_t n = strlen(key);
	char *end, *value;

	for (char *s = text; *s; s = *end ? end + 1 : end) {
		for (end = s; *end && (*end != ',' || end[1] == ','); end++)
			end += *end == ',';
		if (strncmp(s, key, n) || s[n] != '=')
			continue;
		value = strndup(s + n + 1, (size_t)(end - s) - n - 1);
		if (s > text)
			memmove(s - 1, end, strlen(end) + 1);
		else
			memmove(s, end + (*end == ','), strlen(end) + 1 - (*end == ','));
		return value;
	}
	return strdup("");
}

/* "", an address, or, with @prefix, one with the length of its network. */
static bool is_address(const char *text, bool prefix)
{
	char address[INET_ADDRSTRLEN] = "", bits[3] = "", end;
	struct in_addr in;

	if (!*text)
		return true;
	if (prefix)
		return sscanf(text, "%15[0-9.]/%2[0-9]%c", address, bits, &end) == 2 &&
		       atoi(bits) >= 1 && atoi(bits) <= 32 && inet_pton(AF_INET, address, &in) == 1;
	return inet_pton(AF_INET, text, &in) == 1;
}

/* A tap: the card's keys are the machine's, the addresses the guest's. */
static int add_tap(struct config *config, const struct option_group *const *devices,
		   const char *net, FILE *job)
{
	char *list = strdup(net), *ip, *gw, *dns;
	int ret = list ? 0 : -ENOMEM;

	if (ret)
		return ret;
	ip = take_key(list, "ip");
	gw = take_key(list, "gw");
	dns = take_key(list, "dns");
	if (!ip || !gw || !dns)
		ret = -ENOMEM;
	else if (!is_address(ip, true))
		ret = option_bad_value("ip", ip,
				       "an address with the length of its network, as 10.0.0.2/24");
	else if (!is_address(gw, false))
		ret = option_bad_value("gw", gw, "an address, as 10.0.0.1");
	else if (!is_address(dns, false))
		ret = option_bad_value("dns", dns, "an address, as 10.0.0.1");
	else if (*gw && !*ip) {
		ret = log_fail(-EINVAL, "--net %s: gw= needs ip=", net);
	}
	if (!ret)
		ret = config_add_device(config, devices, "net", list);
	if (!ret)
		run_put(job, "net=%s:%s:%s", ip, gw, dns);
	free(ip);
	free(gw);
	free(dns);
	free(list);
	return ret;
}

/* The last line of its kind counts, as for the C library; what is no list of domains is none. */
void run_net_search(FILE *resolv_conf, char domains[RUN_SEARCH_MAX])
{
	char line[RUN_SEARCH_MAX + 16], *list;

	*domains = '\0';
	while (fgets(line, sizeof(line), resolv_conf)) {
		const size_t word = strcspn(line, " \t\n");

		if (word != 6 || (strncmp(line, "search", word) && strncmp(line, "domain", word)))
			continue;
		list = line + word + strspn(line + word, " \t");
		list[strcspn(list, "\n")] = '\0';
		if (strspn(list,
			   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_ \t") ==
		    strlen(list))
			snprintf(domains, RUN_SEARCH_MAX, "%.*s", RUN_SEARCH_MAX - 1, list);
	}
}

static void put_passt(FILE *job)
{
	const int fd = open("/etc/resolv.conf", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	char domains[RUN_SEARCH_MAX] = "";

	if (f) {
		run_net_search(f, domains);
		fclose(f);
	}
	run_put(job,
		"net=" PASST_ADDRESS "/" PASST_PREFIX ":" PASST_GATEWAY ":" PASST_RESOLVER ":%s",
		domains);
}

static int add_passt(struct config *config, const struct option_group *const *devices, FILE *job)
{
	char list[96];
	const int ret = passt_start(&passt);

	if (ret)
		return ret;
	put_passt(job);
	snprintf(list, sizeof(list), "stream=%d,mtu=" PASST_MTU ",host-loopback=off", passt.socket);
	return config_add_device(config, devices, "net", list);
}

int run_net_check(const char *net)
{
	static const char *const words[] = { "none", "passt" };
	const size_t n = strcspn(net, ",");

	for (unsigned int i = 0; i < ARRAY_SIZE(words); i++)
		if (net[n] && strlen(words[i]) == n && !strncmp(net, words[i], n))
			return log_fail(-EINVAL,
					"--net %s: %s has no keys (for a tap of that name: tap=%s)",
					net, words[i], words[i]);
	return 0;
}

int run_net_add(struct config *config, const struct option_group *const *devices, const char *net,
		FILE *job)
{
	const int ret = run_net_check(net);

	if (ret)
		return ret;
	if (!strcmp(net, "none"))
		return 0;
	return strcmp(net, "passt") ? add_tap(config, devices, net, job)
				    : add_passt(config, devices, job);
}

int run_net_ready(void)
{
	return passt.socket >= 0 ? passt_ready(&passt) : 0;
}

void run_end(void)
{
	passt_end(&passt);
}

/* Options: parsing, messages and help from tables. */
#include "vmm/base/options.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/log.h"

#define HELP_COLUMN 21 /* where help on an option begins */

/* ---- values ---- */

int option_bad_value(const char *name, const char *text, const char *wanted)
{
	return log_fail(-EINVAL, "bad value '%s' for %s: expected %s", text, name, wanted);
}

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit no_units[] = { { "", 1 }, { NULL, 0 } };
static const struct unit sizes[] = {
	{ "", 1 }, { "K", KIB }, { "M", MIB }, { "G", GIB }, { NULL, 0 }
};
static const struct unit times[] = {
	{ "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { NULL, 0 }
};

/* A decimal number with one of @units behind it. */
static int parse_scaled(const char *text, const struct unit *unit, uint64_t *out)
{
	unsigned long long v;
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno)
		return -EINVAL;
	for (; unit->name; unit++)
		if (!strcasecmp(end, unit->name))
			return __builtin_mul_overflow(v, unit->factor, out) ? -EINVAL : 0;
	return -EINVAL;
}

int option_parse_size(const char *text, uint64_t *out)
{
	return parse_scaled(text, sizes, out);
}

/* A value in the largest unit that it is whole in. */
static const char *print_scaled(char buf[24], uint64_t v, const struct unit *units)
{
	const struct unit *best = units;

	for (const struct unit *u = units; v && u->name; u++)
		if (v % u->factor == 0)
			best = u;
	snprintf(buf, 24, "%llu%s", (unsigned long long)(v / best->factor), best->name);
	return buf;
}

/* A number with a unit, from min to max; what was wanted goes to @wanted. */
static int parse_number(const struct option *o, const char *text, uint64_t *out, char wanted[160])
{
	const bool whole_pages = o->type == OPTION_SIZE, power = o->type == OPTION_POWER_OF_2;
	const struct unit *units = no_units;
	const char *what = power ? "power of two" : "number";
	uint64_t min = o->min;
	char low[24], high[24];

	if (o->type == OPTION_TIME) {
		units = times;
		what = "time";
		min = 1;
	} else if (whole_pages || o->type == OPTION_COUNT) {
		units = sizes;
		what = whole_pages ? "size" : what;
	}
	snprintf(wanted, 160, "a %s from %s to %s%s%s%s%s%s", what, print_scaled(low, min, units),
		 print_scaled(high, o->max, units), whole_pages ? ", in whole pages of 4K" : "",
		 units == times ? ", such as 500ms, 30s or 5m" : "", o->why ? " (" : "",
		 o->why ? o->why : "", o->why ? ")" : "");
	if (parse_scaled(text, units, out) || *out < min || *out > o->max)
		return -EINVAL;
	if ((whole_pages && *out % (4 * KIB)) || (power && !IS_POWER_OF_2(*out)))
		return -EINVAL;
	return 0;
}

static int set_number(const struct option *o, void *at, const char *text)
{
	char wanted[160];
	uint64_t v;

	if (parse_number(o, text, &v, wanted))
		return option_bad_value(o->name, text, o->wanted ? o->wanted : wanted);
	if (o->type == OPTION_SIZE || o->type == OPTION_TIME)
		*(uint64_t *)at = v;
	else if (o->type == OPTION_DESCRIPTOR)
		*(int *)at = (int)v;
	else
		*(unsigned int *)at = (unsigned int)v;
	return 0;
}

static int set_mac(const struct option *o, uint8_t *mac, const char *text)
{
	unsigned int b[6];
	bool good = strlen(text) == 17;

	/* sscanf() alone would take signs and blanks for digits. */
	for (unsigned int i = 0; good && i < 17; i++)
		good = i % 3 == 2 ? text[i] == ':' : isxdigit((unsigned char)text[i]);
	if (!good ||
	    sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5]) != 6)
		return option_bad_value(o->name, text, "an address such as 52:54:00:12:34:56");
	if (b[0] & 1 || !(b[0] | b[1] | b[2] | b[3] | b[4] | b[5]))
		return option_bad_value(o->name, text,
					"a unicast address (the first byte even, not all 0)");
	for (int i = 0; i < 6; i++)
		mac[i] = (uint8_t)b[i];
	return 0;
}

/* Digits that are a user's or a group's number; (uid_t)-1 is none. What follows them, or NULL. */
static const char *parse_id(const char *text, uint32_t *id)
{
	unsigned long long v;
	char *end;

	if (!isdigit((unsigned char)*text))
		return NULL;
	v = strtoull(text, &end, 10);
	*id = (uint32_t)v;
	return v < UINT32_MAX ? end : NULL;
}

static int set_user(const struct option *o, struct option_user *at, const char *text)
{
	struct option_user user = { .given = true };
	const char *end = parse_id(text, &user.uid);

	user.gid = user.uid;
	if (end && *end == ':')
		end = parse_id(end + 1, &user.gid);
	if (!end || *end)
		return option_bad_value(o->name, text, "numbers, as 1000 or 1000:1000");
	*at = user;
	return 0;
}

static int set_word(const struct option *o, unsigned int *at, const char *text)
{
	char wanted[96] = "";

	for (unsigned int i = 0; o->words[i]; i++) {
		if (!strcmp(text, o->words[i])) {
			*at = i + (unsigned int)o->min;
			return 0;
		}
		snprintf(wanted + strlen(wanted), sizeof(wanted) - strlen(wanted), "%s%s",
			 !i		   ? ""
			 : o->words[i + 1] ? ", "
					   : " or ",
			 o->words[i]);
	}
	return option_bad_value(o->name, text, wanted);
}

/* As Linux takes them for a new one, but for a pattern (%d); the last two it has for all of them. */
static bool is_interface_name(const char *text)
{
	static const char *const taken[] = { "", ".", "..", "all", "default" };

	for (unsigned int i = 0; i < ARRAY_SIZE(taken); i++)
		if (!strcmp(text, taken[i]))
			return false;
	return strlen(text) < IFNAMSIZ && !strpbrk(text, "%/: \t\n\v\f\r");
}

int option_set(const struct option *o, void *values, size_t base, const char *text)
{
	void *at = (char *)values + base + o->offset;

	switch (o->type) {
	case OPTION_OUTPUT:
		if (!strcmp(text, "-"))
			return option_bad_value(o->name, text, "a file (./- is one of that name)");
		__attribute__((fallthrough));
	case OPTION_TEXT:
		if (!*text)
			return option_bad_value(o->name, text, o->wanted);
		*(const char **)at = text;
		return 0;
	case OPTION_ANY_TEXT:
		*(const char **)at = text;
		return 0;
	case OPTION_INTERFACE:
		if (!is_interface_name(text))
			return option_bad_value(o->name, text,
						"an interface name of at most 15 characters");
		*(const char **)at = text;
		return 0;
	case OPTION_NUMBER:
	case OPTION_POWER_OF_2:
	case OPTION_COUNT:
	case OPTION_DESCRIPTOR:
	case OPTION_SIZE:
	case OPTION_TIME:
		return set_number(o, at, text);
	case OPTION_SWITCH:
		if (strcmp(text, "on") && strcmp(text, "off"))
			return option_bad_value(o->name, text, "on or off");
		*(bool *)at = !strcmp(text, "on");
		return 0;
	case OPTION_WORD:
		return set_word(o, at, text);
	case OPTION_USER:
		return set_user(o, at, text);
	case OPTION_MAC:
		return set_mac(o, at, text);
	case OPTION_OTHER:
		if (!o->parse(at, text))
			return 0;
		return o->wanted ? option_bad_value(o->name, text, o->wanted) : -EINVAL;
	case OPTION_ACTION:
		break;
	}
	return -EINVAL;
}

/* ---- rows ---- */

/* The row at (*part, *row) of @group, or the first of a later part; groups within it are left to the caller. */
static const struct option_rows *row_at(const struct option_group *group, unsigned int *part,
					unsigned int *row)
{
	for (;; ++*part, *row = 0) {
		const struct option_rows *p = &group->of[*part];

		if (!p->rows && !p->group)
			return NULL;
		if (p->group || p->rows[*row].name)
			return p;
	}
}

bool options_next(struct option_iter *i)
{
	for (;;) {
		const struct option_rows *p = row_at(i->group, &i->part, &i->row), *inner;

		if (!p)
			return false;
		if (p->rows) {
			i->option = &p->rows[i->row++];
			i->base = p->base;
			return true;
		}
		inner = row_at(p->group, &i->in_part, &i->in_row);
		if (inner) {
			i->option = &inner->rows[i->in_row++];
			i->base = p->base + inner->base;
			return true;
		}
		i->part++;
		i->in_part = i->in_row = 0;
	}
}

void options_init(const struct option_group *group, void *values)
{
	memset(values, 0, group->size);
	for (struct option_iter i = { group }; options_next(&i);) {
		if (i.option->type == OPTION_DESCRIPTOR)
			*(int *)((char *)values + i.base + i.option->offset) = -1;
		if (i.option->preset && option_set(i.option, values, i.base, i.option->preset))
			abort(); /* a mistake in the table */
	}
}

/* ---- names ---- */

const struct option *options_find(const struct option_group *group, const char *name, size_t *base)
{
	for (struct option_iter i = { group }; options_next(&i);)
		if (!strcmp(i.option->name, name)) {
			if (base)
				*base = i.base;
			return i.option;
		}
	return NULL;
}

/* Edit distance, for names of ordinary length. */
static unsigned int distance(const char *a, const char *b)
{
	unsigned int row[64];
	const unsigned int n = (unsigned int)strnlen(b, ARRAY_SIZE(row) - 1);

	for (unsigned int j = 0; j <= n; j++)
		row[j] = j;
	for (unsigned int i = 1; *a && i < ARRAY_SIZE(row); i++, a++) {
		unsigned int diagonal = row[0];

		row[0] = i;
		for (unsigned int j = 1; j <= n; j++) {
			const unsigned int above = row[j];
			const unsigned int change = diagonal + (*a != b[j - 1]);
			const unsigned int grow = MIN(above, row[j - 1]) + 1;

			row[j] = MIN(grow, change);
			diagonal = above;
		}
	}
	return row[n];
}

int options_unknown(const struct option_group *group, const char *what, const char *name)
{
	const char *nearest = NULL;
	unsigned int best = ~0u;

	for (struct option_iter i = { group }; options_next(&i);) {
		const unsigned int d = distance(name, i.option->name);

		if (d < best) {
			best = d;
			nearest = i.option->name;
		}
	}
	return log_fail(-EINVAL, "unknown %s '%s' (the nearest is '%s'; see --help)", what, name,
			nearest);
}

/* ---- command lines ---- */

int options_next_word(const struct option_group *group, void *values, int argc, char **argv, int *i,
		      const struct option **said)
{
	char *word = argv[*i], *value = strchr(word, '=');
	const struct option *o;
	size_t base;
	char name[64];

	if (strncmp(word, "--", 2))
		return log_fail(
			-EINVAL,
			"unexpected argument '%s' (options start with --; see %s %s --help)", word,
			program_invocation_short_name, argv[0]);
	snprintf(name, sizeof(name), "%.*s", (int)(value ? value - word - 2 : INT_MAX), word + 2);
	o = options_find(group, name, &base);
	if (!o)
		return options_unknown(group, "option", name);
	if (o->type == OPTION_ACTION) {
		*said = o;
		return 0;
	}
	if (value) {
		value++;
	} else if (o->type == OPTION_SWITCH) {
		value = (char *)"on";
	} else if (*i + 1 < argc) {
		value = argv[++*i];
	} else {
		return log_fail(-EINVAL, "option --%s needs a value (see %s %s --help)", name,
				program_invocation_short_name, argv[0]);
	}
	return option_set(o, values, base, value);
}

/* ---- lists ---- */

/* The next word of *@list, ended in place; ",," within it has become ",". NULL at the end. */
static char *next_word(char **list)
{
	char *word = *list, *to = word, *from = word;

	if (!word)
		return NULL;
	while (*from && (*from != ',' || from[1] == ',')) {
		from += *from == ',';
		*to++ = *from++;
	}
	*list = *from ? from + 1 : NULL;
	*to = '\0';
	return word;
}

/* Where a value is said with its key, "key=value"; NULL elsewhere, as of a path with '=' in it. */
static char *value_in(char *word)
{
	char *end = word + strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return *end == '=' ? end : NULL;
}

/* Whether a key means "on" where it has no value. */
static bool may_stand_alone(const struct option *o)
{
	return o->type == OPTION_SWITCH || (o->type == OPTION_WORD && !strcmp(o->words[0], "on"));
}

int options_parse_list(const struct option_group *group, void *values, const char *text,
		       const void *const *others, unsigned int nr)
{
	char *list = strdup(text), *word; /* stays: the values point into it */
	struct option_iter first_row = { group };
	bool first = options_next(&first_row);

	if (!list)
		return -ENOMEM;
	for (; (word = next_word(&list)); first = false) {
		const struct option *key = first_row.option;
		char *value = first ? value_in(word) : strchr(word, '=');
		size_t base = first_row.base;
		char what[48];
		int ret;

		if (value)
			*value++ = '\0';
		if (value || !first)
			key = options_find(group, word, &base);
		if (!key) {
			snprintf(what, sizeof(what), "key in --%s", group->name);
			return options_unknown(group, what, word);
		}
		if (!value && !first && !may_stand_alone(key))
			return option_bad_value(word, "", "key=value");
		ret = option_set(key, values, base, value ? value : first ? word : "on");
		if (ret)
			return ret;
	}
	return group->check ? group->check(values, text, others, nr) : 0;
}

/* ---- help ---- */

void options_help_entry(FILE *f, const char *indent, const char *left, const char *help)
{
	int column = fprintf(f, "%s%s", indent, left);

	if (column >= HELP_COLUMN - 1) {
		putc('\n', f);
		column = 0;
	}
	for (const char *end; *help; help = *end ? end + 1 : end) {
		end = strchrnul(help, '\n');
		fprintf(f, "%*s%.*s\n", HELP_COLUMN - column, "", (int)(end - help), help);
		column = 0;
	}
}

const char *option_default(const struct option *o)
{
	if (o->preset && *o->preset)
		return o->preset;
	return o->type == OPTION_SWITCH && o->value ? "off" : NULL;
}

void options_help(FILE *f, const struct option_group *group, const char *indent, bool dashes)
{
	for (struct option_iter i = { group }; options_next(&i);) {
		const struct option *o = i.option;
		const char *preset = option_default(o);
		char left[80], help[512];

		snprintf(left, sizeof(left), "%s%s%s%s", dashes ? "--" : "", o->name,
			 !o->value ? ""
			 : dashes  ? " "
				   : "=",
			 o->value ? o->value : "");
		snprintf(help, sizeof(help), "%s%s%s%s", o->help, preset ? " (default " : "",
			 preset ? preset : "", preset ? ")" : "");
		options_help_entry(f, indent, left, help);
	}
}

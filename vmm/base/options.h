/*
 * Options: one row of a table for each, from which parsing, defaults, messages and help text are made.
 *
 * Values live in a plain struct of the owner's, at the offsets that the rows name. Strings that are stored
 * stay the caller's, or are copies that live as long as the process.
 */
#ifndef VMM_BASE_OPTIONS_H
#define VMM_BASE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "vmm/base/util.h"

enum option_type {
	OPTION_TEXT,	   /* const char *: not empty */
	OPTION_OUTPUT,	   /* the same, a file to write to: not -, which elsewhere is no file */
	OPTION_ANY_TEXT,   /* const char * */
	OPTION_INTERFACE,  /* const char *: the name of a network interface */
	OPTION_NUMBER,	   /* unsigned int, from min to max */
	OPTION_POWER_OF_2, /* the same, a power of two */
	OPTION_COUNT,	   /* the same, with K, M and G */
	OPTION_DESCRIPTOR, /* int: a file descriptor; -1 where none is given */
	OPTION_SWITCH,	   /* bool: on or off, on where it stands alone */
	OPTION_SIZE,	   /* uint64_t: bytes, from min to max, in whole pages of 4 KiB */
	OPTION_TIME,	   /* uint64_t: milliseconds, from 1 to max */
	OPTION_WORD,  /* unsigned int: min and which of @words; "on" first: where it stands alone */
	OPTION_USER,  /* struct option_user */
	OPTION_MAC,   /* uint8_t[6]: a unicast address */
	OPTION_OTHER, /* what @parse makes of it, who says what is wrong where @wanted does not */
	OPTION_ACTION, /* nothing: its owner acts on it; it takes no value */
};

/* UID[:GID]; without GID both are the same. */
struct option_user {
	uint32_t uid, gid;
	bool given;
};

struct option {
	const char *name;
	enum option_type type;
	size_t offset;	   /* of the value */
	const char *value; /* how help calls it: "FILE"; NULL where it has none */
	const char *help;  /* lines, parted by \n; the default is added to them */
	const char *
		preset; /* the default, as it would be given; NULL: all bits 0, or -1 for a descriptor */
	const char *wanted; /* what a bad value should have been, where the type does not say it */
	uint64_t min, max;
	const char *why;	  /* they are where they are, for a message: "as a tap takes" */
	const char *const *words; /* NULL at the end */
	int (*parse)(void *at, const char *text);
};

/*
 * Some rows, ended by one without a name, or all of another group, whose values lie @base bytes into the struct of the
 * group that has them.
 */
struct option_rows {
	const struct option *rows;
	size_t base;
	const struct option_group *group;
};

/* The options of one thing: a program, or a kind of device that `--name first,key=value,...` adds. */
struct option_group {
	const char *name;  /* of the option that adds one: "net" */
	const char *value; /* how help calls what it takes: "TAP" */
	const char *help;
	size_t size;		      /* of the struct of values */
	unsigned int max;	      /* how many there may be */
	bool alone;		      /* `--name` may stand without a value: all defaults */
	const struct option_rows *of; /* ended by one without either */

	/*
	 * Judge @values, which @text gave, beside the @nr that were given before; NULL: any will do.
	 * -EINVAL with a message.
	 */
	int (*check)(const void *values, const char *text, const void *const *others,
		     unsigned int nr);
};

/* Walks over all rows of a group: `for (struct option_iter i = { group }; options_next(&i);)`. */
struct option_iter {
	const struct option_group *group;
	const struct option *option;		 /* the row, whose values lie ... */
	size_t base;				 /* ... here in the group's struct */
	unsigned int part, row, in_part, in_row; /* its own */
};
bool options_next(struct option_iter *i);

/* Set all values to their defaults. */
void options_init(const struct option_group *group, void *values);

/* The row named @name, or NULL; *@base, if not NULL, is where its values lie in the group's struct. */
const struct option *options_find(const struct option_group *group, const char *name, size_t *base);

/* Set one value. -EINVAL with a message that tells what was wanted. */
int must_check option_set(const struct option *option, void *values, size_t base, const char *text);

/*
 * Take `--name value` or `--name=value` at argv[*i] into @values; *i is left at the last word of it. argv[0] is the
 * subcommand, for messages. An OPTION_ACTION changes no value: *@said is its row. -EINVAL with a message.
 */
int must_check options_next_word(const struct option_group *group, void *values, int argc,
				 char **argv, int *i, const struct option **said);

/* Say that there is no @name among @group's, and which is the nearest; @what: "option". -EINVAL. */
int must_check options_unknown(const struct option_group *group, const char *what,
			       const char *name);

/* Say that @text is no value for @name. -EINVAL. */
int must_check option_bad_value(const char *name, const char *text, const char *wanted);

/*
 * Set @values from "first,key=value,...": a first word that is no key=value (of a-z, 0-9 and '-'; so ./a=b is none) is the
 * value of the first key, a later one a switch that is turned on; ",," stands for a comma that parts nothing. Then the
 * group's check. -EINVAL with a message.
 */
int must_check options_parse_list(const struct option_group *group, void *values, const char *text,
				  const void *const *others, unsigned int nr);

/* Help on all rows of @group, each line behind @indent; '--' before each name if @dashes. */
void options_help(FILE *f, const struct option_group *group, const char *indent, bool dashes);

/* What an option is where nobody gives it; NULL where there is nothing to say of it. */
const char *option_default(const struct option *option);

/* One entry of it: @left, and in a column of their own @help's lines. */
void options_help_entry(FILE *f, const char *indent, const char *left, const char *help);

/* Digits with one of the suffixes K, M and G (powers of 1024). -EINVAL. */
int must_check option_parse_size(const char *text, uint64_t *out);

#endif

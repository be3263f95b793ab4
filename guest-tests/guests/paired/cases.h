/*
 * The small guest tests, chosen by case=NAME on the command line. A new one is a file of its own, case_*.c: GUEST_CASE()
 * puts it into the table, which the linker makes, and a comment on a line, "host: COMMAND", says how it is run, in the
 * words of guest-tests/cases/paired.sh. A host's half of more than a line is a file of guest-tests/cases/paired.
 *
 * A case returns its status: 0 for success, or a number from 1 to 99 that tells what failed; it
 * prints a line that says more. The others stand for what main.c could not do.
 */
#ifndef CASES_H
#define CASES_H

#define CASE_UNKNOWN 103

struct guest_case {
	const char *name;
	int (*run)(void);
};

/* case=@name runs @function. */
#define GUEST_CASE(name, function)                       \
	static const struct guest_case row_of_##function \
		__attribute__((used, section(".cases"))) = { name, function }

/* Runs the case that the command line names and returns its status; -1 if it names none. */
int cases_run(void);

#endif

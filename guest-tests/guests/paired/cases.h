/*
 * The small guest tests, chosen by case=NAME on the command line.
 *
 * A case returns its status: 0 for success, or a number from 1 to 99 that tells what failed; it
 * prints a line that says more. The others stand for what main.c could not do.
 */
#ifndef CASES_H
#define CASES_H

#define CASE_UNKNOWN 103

/* Runs the case that the command line names and returns its status; -1 if it names none. */
int cases_run(void);

/* case_memory.c: all memory of the map is there, once, and nothing is where the map has holes. */
int case_memory(void);
int case_holes(void);

/* case_smp.c: every processor of the MADT starts. */
int case_smp(void);

/*
 * case_hostile.c: rings that break the rules hurt neither the VMM nor the device past its next
 * reset.
 */
int case_hostile(void);

/*
 * case_reset.c: the device is reset again and again while traffic flows, and works. Wants somebody
 * who sends frames.
 */
int case_reset(void);

#endif

/*
 * cases.h - the small guest tests, chosen by case=NAME on the command line.
 */
#ifndef CASES_H
#define CASES_H

/* Runs the case that the command line names and returns its status, 0 for success; -1 if it names none. */
int cases_run(void);

#endif

/*
 * What is written to standard error, for tests of messages.
 */
#ifndef VMM_BASE_TEST_MESSAGES_H
#define VMM_BASE_TEST_MESSAGES_H

/* From now on standard error goes to a file of ours ... */
void messages_begin(void);

/* ... and back where it went. What was written; valid until the next call. */
const char *messages_end(void);

#endif

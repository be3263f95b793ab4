/*
 * Netperf's control protocol, the part of it that netperf 2.7's tests use.
 *
 * A message is 656 bytes: a type, an error number and 162 words, all in network order as far as
 * they are numbers. A test begins with a request that says sizes, duration and which way data
 * flows; the answer names a port; at the test's end the results follow, unasked.
 */
#ifndef NETPERF_H
#define NETPERF_H

#include <stdint.h>

#define NETPERF_WORDS	164
#define NETPERF_MESSAGE (NETPERF_WORDS * 4)
#define NETPERF_HEAD	2 /* words before a message's data: type and error */

/* Message types. */
#define NETPERF_DEBUG_ON      1
#define NETPERF_DEBUG_OFF     2
#define NETPERF_DEBUG_OK      3
#define NETPERF_CPU_CALIBRATE 5
#define NETPERF_DO_OMNI	      97
#define NETPERF_OMNI_RESPONSE 98
#define NETPERF_OMNI_RESULTS  99
#define NETPERF_ERROR_UNKNOWN 998 /* serv_errno for a request not known */

/*
 * TCP_CC and TCP_SENDFILE have kept netperf's older messages, each with words of its own: here TCP_CC's, of which a
 * client needs to know.
 */
#define NETPERF_DO_TCP_STREAM	10
#define NETPERF_DO_TCP_CC	300
#define NETPERF_TCP_CC_RESPONSE 301 /* and of its results */
#define CC_REQUEST_SECONDS	11
#define CC_RESPONSE_DATA_PORT	5
#define CC_RESULTS_TRANSACTIONS 2

/* Data words of a test's request. */
#define REQUEST_SEND_SIZE     1
#define REQUEST_REQUEST_SIZE  5
#define REQUEST_RECEIVE_SIZE  7
#define REQUEST_RESPONSE_SIZE 11
#define REQUEST_FLAGS	      12
#define REQUEST_SECONDS	      14 /* below 0: that many transactions or bytes */
#define REQUEST_DATA_PORT     20
#define REQUEST_PROTOCOL      23
#define REQUEST_DIRECTION     24

#define FLAG_NO_DELAY	  0x001
#define FLAG_CONNECT_TEST 0x004
#define DIRECTION_SEND	  2 /* as the server sees it */
#define DIRECTION_RECEIVE 4

/* ... of its response */
#define RESPONSE_RECV_BUF     0
#define RESPONSE_RECEIVE_SIZE 1
#define RESPONSE_RECV_WIDTH   2
#define RESPONSE_SEND_BUF     3
#define RESPONSE_SEND_SIZE    4
#define RESPONSE_SEND_WIDTH   5
#define RESPONSE_FLAGS	      6
#define RESPONSE_SECONDS      8
#define RESPONSE_DATA_PORT    11

/* ... and of its results */
#define RESULTS_RECEIVED_HIGH 0
#define RESULTS_RECEIVED_LOW  1
#define RESULTS_RECV_CALLS    2
#define RESULTS_RECV_BUF      3
#define RESULTS_SENT_HIGH     4
#define RESULTS_SENT_LOW      5
#define RESULTS_SEND_CALLS    6
#define RESULTS_SEND_BUF      7
#define RESULTS_TRANSACTIONS  9
#define RESULTS_ELAPSED	      10 /* seconds, an IEEE 754 single */
#define RESULTS_CPUS	      19

/* A duration as an IEEE 754 single of seconds, without a floating-point unit. */
uint32_t netperf_seconds(uint64_t us);
/* A count as an IEEE 754 double. */
uint64_t netperf_double(uint64_t value);

/* Ends the tests whose time is over; says when to come again at the latest. */
uint64_t netperf_timers(uint64_t now);

#endif

/*
 * Another time of day for programs that load this (LD_PRELOAD, /etc/ld.so.preload), to see whether
 * what they make depends on it.
 *
 * In: the kernel's clocks, LATER_S. Out: the same, the time of day later by LATER_S seconds. Never:
 * dlsym(3), which takes memory, and an allocator may be who asks for the time; other clocks, by
 * which programs wait.
 */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now)
{
	int result = (int)syscall(SYS_clock_gettime, clock, now);

	if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		now->tv_sec += LATER_S;
	return result;
}

int timespec_get(struct timespec *now, int base)
{
	return base == TIME_UTC && clock_gettime(CLOCK_REALTIME, now) == 0 ? base : 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	struct timespec precise;

	(void)zone;
	if (clock_gettime(CLOCK_REALTIME, &precise))
		return -1;
	now->tv_sec = precise.tv_sec;
	now->tv_usec = precise.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *seconds)
{
	struct timespec now;

	if (clock_gettime(CLOCK_REALTIME, &now))
		return -1;
	if (seconds)
		*seconds = now.tv_sec;
	return now.tv_sec;
}

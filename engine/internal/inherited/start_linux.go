package inherited

/*
#include <sys/resource.h>
#include <time.h>

// Go raises the soft limit of open files before any code of ours runs, and
// does not tell what it was (syscall/rlimit.go); a constructor is earlier.
static struct rlimit dx_nofile;
static int dx_known;
static struct timespec dx_entered, dx_used;

__attribute__((constructor)) static void dx_start(void) {
	dx_known = getrlimit(RLIMIT_NOFILE, &dx_nofile) == 0;
	clock_gettime(CLOCK_MONOTONIC, &dx_entered);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &dx_used);
}

static int dx_get(unsigned long long *soft) {
	*soft = dx_nofile.rlim_cur;
	return dx_known;
}

static long long dx_ns(struct timespec t) { return t.tv_sec * 1000000000LL + t.tv_nsec; }
static long long dx_began(void) { return dx_ns(dx_entered) - dx_ns(dx_used); }
*/
import "C"

func nofile() (soft uint64, ok bool) {
	var n C.ulonglong
	ok = C.dx_get(&n) != 0
	return uint64(n), ok
}

// Began is when the process was made, in nanoseconds of CLOCK_MONOTONIC; 0
// where that is not known. It is worked out: when the program was entered, less
// the processor time that fork, exec and loader had taken by then, 0.4 ms. What
// /proc says is in hundredths of a second.
func Began() int64 { return int64(C.dx_began()) }

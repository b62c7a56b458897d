package inherited

/*
#include <sys/resource.h>
#include <time.h>

// Go raises the soft limit of open files before any code of ours runs, and
// does not tell what it was (syscall/rlimit.go); a constructor is earlier.
static struct rlimit dx_nofile;
static int dx_known;
static struct timespec dx_began;

__attribute__((constructor)) static void dx_start(void) {
	dx_known = getrlimit(RLIMIT_NOFILE, &dx_nofile) == 0;
	clock_gettime(CLOCK_MONOTONIC, &dx_began);
}

static int dx_get(unsigned long long *soft) {
	*soft = dx_nofile.rlim_cur;
	return dx_known;
}

static long long dx_ns(void) { return dx_began.tv_sec * 1000000000LL + dx_began.tv_nsec; }
*/
import "C"

func nofile() (soft uint64, ok bool) {
	var n C.ulonglong
	ok = C.dx_get(&n) != 0
	return uint64(n), ok
}

// Began is when the program was entered, in nanoseconds of CLOCK_MONOTONIC; 0
// where that is not known.
func Began() int64 { return int64(C.dx_ns()) }

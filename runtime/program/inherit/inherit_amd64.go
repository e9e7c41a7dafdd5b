package inherit

const (
	sysMadvise          = 28
	sysPrctl            = 157
	sysSchedSetaffinity = 203
	sysSchedGetaffinity = 204
)

// slow is how long the first touch of a page takes, in nanoseconds, where large pages
// are used. With page tables of its own, or in hardware, it is 0.3 to 2 us.
var slow int64 = 6000

// pool is where the next small mapping of the runtime is made, behind data; between
// poolStart and poolEnd.
var pool, poolStart, poolEnd uintptr

// mapping is the mmap of the Go runtime where large pages are used: _cgo_mmap, which
// is there for the sanitizers of C. The runtime's mappings of up to 256 KiB are cut out of
// the pool; they are never given back. Those for the heap are advised to be large.
func mapping()

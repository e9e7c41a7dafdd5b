package inherit

const (
	sysPrctl            = 157
	sysSchedSetaffinity = 203
	sysSchedGetaffinity = 204
)

// pool is where the next small mapping of the runtime is made, behind data; between
// poolStart and poolEnd.
var pool, poolStart, poolEnd uintptr

// mapping is the mmap of the Go runtime where large pages are used: _cgo_mmap, which
// is there for the sanitizers of C. The runtime's mappings of up to 256 KiB are cut out of
// the pool; they are never given back. Those for the heap are advised to be large.
func mapping()

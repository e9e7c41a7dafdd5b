package unpack

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// FuzzTar: whatever an archive holds, nothing beside the tree is touched, and the
// tree can be removed.
func FuzzTar(f *testing.F) {
	for _, list := range [][]tar.Header{
		{{Name: "d/", Typeflag: tar.TypeDir, Mode: 0o755}, {Name: "d/f", Typeflag: tar.TypeReg, Mode: 0o644}},
		{{Name: "../beside", Typeflag: tar.TypeReg, Mode: 0o644}, {Name: "/beside", Typeflag: tar.TypeReg, Mode: 0o644}},
		{{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "../../beside"}, {Name: "l", Typeflag: tar.TypeReg, Mode: 0o600}},
		{{Name: "l", Typeflag: tar.TypeSymlink, Linkname: ".."}, {Name: "l/beside", Typeflag: tar.TypeReg, Mode: 0o600}},
		{{Name: "h", Typeflag: tar.TypeLink, Linkname: "../beside"}, {Name: "p", Typeflag: tar.TypeFifo, Mode: 0o600}},
		{{Name: "x", Typeflag: tar.TypeReg, Mode: 0o4755, PAXRecords: map[string]string{"SCHILY.xattr.user.a": "b"}}},
	} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, h := range list {
			if err := w.WriteHeader(&h); err != nil {
				f.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, archive []byte) {
		dir := t.TempDir()
		beside := filepath.Join(dir, "beside")
		if err := os.WriteFile(beside, []byte("as it was"), 0o640); err != nil {
			t.Fatal(err)
		}
		before, err := os.Lstat(beside)
		if err != nil {
			t.Fatal(err)
		}
		tree := filepath.Join(dir, "tree")
		_, _ = Tar(t.Context(), bytes.NewReader(archive), tree, Options{Owner: os.Geteuid() == 0, SkipDevices: true, MaxBytes: 1 << 20, MaxEntries: 1000})
		if err := Remove(tree); err != nil {
			t.Errorf("the tree cannot be removed: %v", err)
		}
		list, err := os.ReadDir(dir)
		if err != nil || len(list) != 1 {
			t.Errorf("there are %v, %v; want the file alone", list, err)
		}
		after, err := os.Lstat(beside)
		if err != nil || after.Mode() != before.Mode() || !after.ModTime().Equal(before.ModTime()) || !os.SameFile(before, after) {
			t.Errorf("the file beside is now %v, %v", after, err)
		}
		if text, err := os.ReadFile(beside); string(text) != "as it was" {
			t.Errorf("the file beside holds %q, %v", text, err)
		}
	})
}

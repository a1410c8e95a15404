package buildroot

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// content is a file, folder or link that goes into an image.
type content struct {
	path   string // slash-separated, without a leading slash
	mode   fs.FileMode
	target string // of a link
	size   int64
	sha256 string
	open   func() (io.ReadCloser, error)
}

func folder(p string) content { return content{path: p, mode: fs.ModeDir | 0o755} }

func link(p, target string) content {
	return content{path: p, mode: fs.ModeSymlink | 0o777, target: target}
}

func literal(p string, data []byte, mode fs.FileMode) content {
	sum := sha256.Sum256(data)

	return content{
		path: p, mode: mode, size: int64(len(data)), sha256: hex.EncodeToString(sum[:]),
		open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil },
	}
}

// hostFile is a file of the build host; it is read once for its hash.
func hostFile(p, name string, mode fs.FileMode) (content, error) {
	f, err := os.Open(name)
	if err != nil {
		return content{}, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return content{}, fmt.Errorf("read %s: %w", name, err)
	}

	return content{
		path: p, mode: mode, size: n, sha256: hex.EncodeToString(h.Sum(nil)),
		open: func() (io.ReadCloser, error) { return os.Open(name) },
	}, nil
}

// hostTree is all files below a folder of the build host that want keeps.
func hostTree(p, dir string, want func(name string) bool) ([]content, error) {
	var all []content
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if !want(rel) {
			return nil
		}
		c, err := hostFile(path.Join(p, rel), name, 0o644)
		all = append(all, c)

		return err
	})

	return all, err
}

// fingerprint is the hash of all that the contents consist of.
func fingerprint(all []content, more ...string) string {
	sorted := slices.SortedFunc(slices.Values(all), func(a, b content) int { return strings.Compare(a.path, b.path) })
	h := sha256.New()
	for _, c := range sorted {
		fmt.Fprintf(h, "%q %v %q %d %s\n", c.path, c.mode, c.target, c.size, c.sha256)
	}
	fmt.Fprintf(h, "%q", more)

	return hex.EncodeToString(h.Sum(nil))
}

func totalSize(all []content) int64 {
	var n int64
	for _, c := range all {
		n += c.size
	}

	return n
}

package webui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

//go:embed static
var staticFiles embed.FS

// assets are the files that pages load. A name has a hash of what is in it, so
// that a browser may keep it for ever.
type assets struct {
	urls  map[string]string // by the plain name
	files map[string]asset  // by the name with the hash
}

type asset struct {
	kind          string
	plain, zipped []byte
}

func loadAssets() (*assets, error) {
	a := &assets{urls: map[string]string{}, files: map[string]asset{}}
	names, err := fs.Glob(staticFiles, "static/*")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		text, err := staticFiles.ReadFile(name)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(text)
		base, ext := path.Base(name), path.Ext(name)
		hashed := strings.TrimSuffix(base, ext) + "." + hex.EncodeToString(sum[:5]) + ext
		zipped, err := zip(text)
		if err != nil {
			return nil, fmt.Errorf("compress %s: %w", name, err)
		}
		a.urls[base] = "/static/" + hashed
		a.files[hashed] = asset{kind: mime.TypeByExtension(ext), plain: text, zipped: zipped}
	}

	return a, nil
}

// ServeHTTP implements http.Handler.
func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	file, ok := a.files[r.PathValue("name")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", file.kind)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Vary", "Accept-Encoding")
	text := file.plain
	if takesZip(r) && len(file.zipped) < len(text) {
		text = file.zipped
		h.Set("Content-Encoding", "gzip")
	}
	_, _ = w.Write(text) // a browser that has gone asks again
}

func takesZip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, q, _ := strings.Cut(strings.TrimSpace(part), ";")
		if name == "gzip" && strings.ReplaceAll(q, " ", "") != "q=0" {
			return true
		}
	}

	return false
}

func zip(text []byte) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err = z.Write(text); err == nil {
		err = z.Close()
	}

	return b.Bytes(), err
}

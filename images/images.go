package images

import (
	"embed"
	"io/fs"
)

//go:embed */image.toml
var declarations embed.FS

// Declarations returns the folders of the images, each with its image.toml.
func Declarations() fs.FS { return declarations }

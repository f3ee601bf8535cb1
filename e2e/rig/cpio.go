package rig

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// File types as the newc format has them in the mode (initramfs buffer format,
// Documentation/driver-api/early-userspace/buffer-format.rst).
const (
	typeFile    = 0o100000
	typeDir     = 0o040000
	typeSymlink = 0o120000
	typeChar    = 0o020000
	typeBlock   = 0o060000
	typeFifo    = 0o010000

	permissionBits = 0o7777
	cpioAlignment  = 512
)

// An Entry is one file of an archive.
type Entry struct {
	Name         string // without a leading slash
	Mode         uint32 // type and permissions
	UID, GID     int
	Size         int64
	Major, Minor int64
}

// An Archive writes the "newc" cpio format that the kernel unpacks. It is
// written here, not by cpio(1), because ownership and device nodes then need no
// root and no unpacked tree on the host.
type Archive struct {
	w     *bufio.Writer
	size  int64
	inode int
	dirs  map[string]bool
}

// NewArchive starts an archive. Close finishes it; w stays open.
func NewArchive(w io.Writer) *Archive {
	return &Archive{w: bufio.NewWriterSize(w, 1<<20), dirs: map[string]bool{}}
}

// Add writes one entry with e.Size bytes from body.
func (a *Archive) Add(e Entry, body io.Reader) error {
	a.inode++
	if err := a.header(e); err != nil {
		return err
	}
	if e.Size > 0 {
		n, err := io.CopyN(a.w, body, e.Size)
		a.size += n
		if err != nil {
			return fmt.Errorf("cannot archive %s: %w", e.Name, err)
		}
	}
	return a.pad(4)
}

func (a *Archive) header(e Entry) error {
	// Every file has its own inode and one link: hard links become copies, which
	// costs little and keeps the writer without state.
	n, err := fmt.Fprintf(a.w, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\x00",
		a.inode, e.Mode, e.UID, e.GID, 1, 0, e.Size, 0, 0, e.Major, e.Minor, len(e.Name)+1, 0, e.Name)
	a.size += int64(n)
	if err != nil {
		return err
	}
	return a.pad(4)
}

func (a *Archive) pad(alignment int64) error {
	n := (alignment - a.size%alignment) % alignment
	a.size += n
	_, err := a.w.Write(make([]byte, n))
	return err
}

// File writes a regular file and the directories above it.
func (a *Archive) File(name string, perm uint32, content string) error {
	if err := a.Parents(name); err != nil {
		return err
	}
	return a.Add(Entry{Name: name, Mode: typeFile | perm, Size: int64(len(content))}, strings.NewReader(content))
}

// Symlink writes a link and the directories above it.
func (a *Archive) Symlink(name, target string) error {
	if err := a.Parents(name); err != nil {
		return err
	}
	return a.Add(Entry{Name: name, Mode: typeSymlink | 0o777, Size: int64(len(target))}, strings.NewReader(target))
}

// Parents writes the directories above name that this archive has not written
// yet, with the usual mode: an existing one in an earlier archive keeps its files.
func (a *Archive) Parents(name string) error {
	dir := path.Dir(name)
	if dir == "." || dir == "/" || a.dirs[dir] {
		return nil
	}
	if err := a.Parents(dir); err != nil {
		return err
	}
	a.dirs[dir] = true
	return a.Add(Entry{Name: dir, Mode: typeDir | 0o755}, nil)
}

// Tree writes what is below dir on the host as if it were below prefix, owned by
// root, with the permissions it has.
func (a *Archive) Tree(dir, prefix string) error {
	return filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, file)
		if err != nil || rel == "." {
			return err
		}
		return a.hostFile(file, path.Join(prefix, filepath.ToSlash(rel)), d)
	})
}

func (a *Archive) hostFile(file, name string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	switch {
	case d.IsDir():
		return a.Parents(name + "/.")
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(file)
		if err != nil {
			return err
		}
		return a.Symlink(name, target)
	case !info.Mode().IsRegular():
		return fmt.Errorf("cannot archive %s: neither file, directory nor link", file)
	}
	if err := a.Parents(name); err != nil {
		return err
	}
	body, err := os.Open(file)
	if err != nil {
		return err
	}
	defer body.Close()
	return a.Add(Entry{Name: name, Mode: typeFile | uint32(info.Mode().Perm()), Size: info.Size()}, body)
}

// Close writes the trailer. The result is padded so that archives can be
// concatenated.
func (a *Archive) Close() error {
	if err := a.Add(Entry{Name: "TRAILER!!!"}, nil); err != nil {
		return err
	}
	if err := a.pad(cpioAlignment); err != nil {
		return err
	}
	return a.w.Flush()
}

// FromTar copies a tar stream into the archive, without the names that skip
// says; see, when not nil, gets each regular file's body as it passes.
func (a *Archive) FromTar(r io.Reader, skip func(name string) bool, see func(name string, size int64, body io.Reader) (io.Reader, error)) error {
	in := tar.NewReader(r)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("cannot read tar: %w", err)
		}
		name := strings.TrimSuffix(strings.TrimPrefix(h.Name, "./"), "/")
		if name == "" || name == "." || skip(name) {
			continue
		}
		if err := a.tarEntry(h, name, in, see); err != nil {
			return err
		}
	}
}

func (a *Archive) tarEntry(h *tar.Header, name string, body io.Reader, see func(string, int64, io.Reader) (io.Reader, error)) error {
	e := Entry{Name: name, Mode: uint32(h.Mode) & permissionBits, UID: h.Uid, GID: h.Gid, Major: h.Devmajor, Minor: h.Devminor}
	switch h.Typeflag {
	case tar.TypeReg:
		e.Mode |= typeFile
		e.Size = h.Size
		body, err := see(name, h.Size, body)
		if err != nil {
			return err
		}
		return a.Add(e, body)
	case tar.TypeDir:
		e.Mode |= typeDir
	case tar.TypeSymlink, tar.TypeLink:
		// A hard link becomes a symbolic one: the body has passed by already.
		target := h.Linkname
		if h.Typeflag == tar.TypeLink {
			target = "/" + strings.TrimPrefix(h.Linkname, "./")
		}
		e.Mode, e.Size = typeSymlink|0o777, int64(len(target))
		return a.Add(e, strings.NewReader(target))
	case tar.TypeChar:
		e.Mode |= typeChar
	case tar.TypeBlock:
		e.Mode |= typeBlock
	case tar.TypeFifo:
		e.Mode |= typeFifo
	default:
		return fmt.Errorf("cannot archive %s: tar type %q", name, h.Typeflag)
	}
	return a.Add(e, nil)
}

package config

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// The limits of what is read. They are far above any sensible configuration. The parser takes up to
// 100 times the size of a file in memory, and the daemon's unit has 128 MiB.
const (
	// maxFileSize limits a file, in bytes.
	maxFileSize = 64 << 10
	// maxTotalSize limits all files together, in bytes.
	maxTotalSize = 256 << 10
	// maxDropins limits the drop-ins of all directories, those that are hidden included.
	maxDropins = 256
	// maxEntries limits the entries of a directory, of whatever name.
	maxEntries = 4096
)

// reader reads the files of one configuration within the limits.
type reader struct {
	tree     tree.Tree
	draft    map[string][]byte
	rootOnly bool  // that of Source
	left     int64 // bytes that may still be read
	// reading is that of Source.
	reading func(path string)
}

// content is the content of a file.
type content struct {
	data []byte
	// mask is why the file is a mask, as in Hidden.Why; empty where it is not.
	mask string
}

// read reads a whole configuration file, from the draft if that has it.
func (r *reader) read(path string) (content, *fault) {
	r.note(path)
	data, inDraft := r.draft[path]
	var wrong *fault
	switch {
	case inDraft:
	case r.tree.IsNull(path):
		return content{mask: "link to " + devNull}, nil
	default:
		data, wrong = r.readFile(path)
	}
	switch r.left -= int64(len(data)); {
	case wrong != nil:
		return content{}, wrong
	case r.left < 0:
		return content{}, newFault("is too much: the configuration's files are too large",
			"up to "+FormatBytes(maxTotalSize)+" together")
	case len(data) == 0:
		return content{mask: "empty file"}, nil
	}
	return content{data: data}, nil
}

func (r *reader) note(path string) {
	if r.reading != nil {
		r.reading(r.tree.Real(path))
	}
}

func (r *reader) readFile(path string) ([]byte, *fault) {
	file, err := r.tree.Open(path)
	switch {
	case errors.Is(err, syscall.EISDIR):
		return nil, &fault{problem: "is a directory", allowed: "a file", err: syscall.EISDIR}
	case errors.Is(err, tree.ErrNotRegular):
		return nil, newFault("is neither a file nor a link to one", "a file, or a link to "+devNull)
	case err != nil:
		return nil, readFault(err)
	}
	defer func() { _ = file.Close() }() // it was only read
	if wrong := cmp.Or(checkFileSystem(file), r.checkTrusted(path, file)); wrong != nil {
		return nil, wrong
	}
	data, err := io.ReadAll(io.LimitReader(file, maxFileSize+1))
	switch {
	case err != nil:
		return nil, readFault(err)
	case len(data) > maxFileSize:
		return nil, newFault("is too large", "up to "+FormatBytes(maxFileSize))
	}
	return data, nil
}

// checkFileSystem refuses files of the kernel's own file systems. Reading them can wait for an event
// for ever (/proc/kmsg, tracefs' trace_pipe) or take the data from another reader, and O_NONBLOCK is
// ignored by some.
func checkFileSystem(file *os.File) *fault {
	var stat unix.Statfs_t
	if err := unix.Fstatfs(int(file.Fd()), &stat); err != nil {
		return readFault(err)
	}
	if name := kernelFileSystem(int64(stat.Type)); name != "" {
		return newFault("is a file of the kernel ("+name+")", "a file on a disk or in memory")
	}
	return nil
}

// kernelFileSystem returns the name of a file system whose files are functions of the kernel, and ""
// for every other (include/uapi/linux/magic.h, and the named file of the kernel's source).
func kernelFileSystem(magic int64) string {
	const (
		configfsMagic = 0x62656570 // fs/configfs/mount.c
		fusectlMagic  = 0x65735543 // fs/fuse/control.c
		nfsdMagic     = 0x6e667364 // fs/nfsd/nfsctl.c
		rpcPipeMagic  = 0x67596969 // net/sunrpc/rpc_pipe.c
	)
	return map[int64]string{
		unix.PROC_SUPER_MAGIC: "procfs", unix.SYSFS_MAGIC: "sysfs", unix.TRACEFS_MAGIC: "tracefs",
		unix.DEBUGFS_MAGIC: "debugfs", unix.CGROUP_SUPER_MAGIC: "cgroup", unix.CGROUP2_SUPER_MAGIC: "cgroup2",
		unix.SECURITYFS_MAGIC: "securityfs", unix.SELINUX_MAGIC: "selinuxfs", unix.SMACK_MAGIC: "smackfs",
		unix.BPF_FS_MAGIC: "bpf", unix.BINFMTFS_MAGIC: "binfmt_misc", unix.PSTOREFS_MAGIC: "pstore",
		unix.EFIVARFS_MAGIC: "efivarfs", unix.RDTGROUP_SUPER_MAGIC: "resctrl", unix.XENFS_SUPER_MAGIC: "xenfs",
		configfsMagic: "configfs", fusectlMagic: "fusectl", nfsdMagic: "nfsd", rpcPipeMagic: "rpc_pipefs",
	}[magic]
}

// list returns the names in a directory, with the draft in place of the files that it has.
func (r *reader) list(dir string) ([]string, *fault) {
	r.note(dir)
	names, wrong := listDir(r.tree, dir, r.checkTrusted)
	for path, data := range r.draft {
		if filepath.Dir(path) != dir {
			continue
		}
		name := filepath.Base(path)
		names = slices.DeleteFunc(names, func(n string) bool { return n == name })
		if data != nil {
			names = append(names, name)
		}
	}
	return names, wrong
}

// listDir returns the names in a directory, sorted, and nothing where it does not exist. check, where not
// nil, may refuse it.
func listDir(t tree.Tree, path string, check func(string, *os.File) *fault) ([]string, *fault) {
	dir, err := t.OpenDir(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), err != nil && t.IsNull(path):
		return nil, nil
	case err != nil:
		return nil, readFault(err)
	}
	defer func() { _ = dir.Close() }() // it was only read
	if check != nil {
		if wrong := check(path, dir); wrong != nil {
			return nil, wrong
		}
	}
	names, err := dir.Readdirnames(maxEntries + 1)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, readFault(err)
	case len(names) > maxEntries:
		return nil, &fault{problem: "has too many entries", allowed: "up to 4096"}
	}
	slices.Sort(names)
	return names, nil
}

// readFault returns the fault of a system error, without the path: an Error begins with it.
func readFault(err error) *fault {
	cause := err
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		cause = pathError.Err
	}
	return &fault{problem: "cannot read: " + cause.Error(), err: err}
}

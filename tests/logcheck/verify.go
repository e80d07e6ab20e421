// Verify checks a published audit log with somebody else's code: golang.org/x/mod/sumdb/tlog and note, the code that
// guards Go's own module downloads. Only the cosignatures of witnesses and the fingerprint of an opened entry, which
// Go does not know, are written out here, from their specifications.
//
//	verify FOLDER LOG-KEY [WITNESS-KEY...]
//
// It rebuilds the tree from the entry bundles, compares every tile, reads records back through the tiles, and checks
// every .tlog-proof below the folder. Exit status 1 if anything does not fit.
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

func fail(format string, values ...any) {
	fmt.Printf("REFUSED: "+format+"\n", values...)
	os.Exit(1)
}

func must(err error, what string) {
	if err != nil {
		fail("%s: %v", what, err)
	}
}

// witness is a note.Verifier for cosignature/v1 (C2SP tlog-cosignature).
type witness struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func (w witness) Name() string    { return w.name }
func (w witness) KeyHash() uint32 { return w.hash }
func (w witness) Verify(text, signature []byte) bool {
	if len(signature) != 8+ed25519.SignatureSize {
		return false
	}
	message := fmt.Sprintf("cosignature/v1\ntime %d\n%s", binary.BigEndian.Uint64(signature), text)
	return ed25519.Verify(w.key, []byte(message), signature[8:])
}

func newWitness(vkey string) (witness, error) {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) != 3 {
		return witness{}, errors.New("not a verifier key")
	}
	key, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(key) != 1+ed25519.PublicKeySize || key[0] != 4 {
		return witness{}, errors.New("not the key of a witness")
	}
	id := sha256.Sum256(append([]byte(parts[0]+"\n"), key...))
	if fmt.Sprintf("%x", id[:4]) != parts[1] {
		return witness{}, errors.New("hash of the key does not fit")
	}
	return witness{parts[0], binary.BigEndian.Uint32(id[:4]), key[1:]}, nil
}

// log opens notes: checkpoints of one log, cosigned by its witnesses.
type log struct {
	name      string
	verifiers note.Verifiers
}

// open returns the tree and how many witnesses cosigned it.
func (l log) open(bytes []byte) (tlog.Tree, int) {
	opened, err := note.Open(bytes, l.verifiers)
	must(err, "checkpoint")
	cosigned, signed := 0, false
	for _, signature := range opened.Sigs {
		if signature.Name == l.name {
			signed = true
		} else {
			cosigned++
		}
	}
	lines := strings.Split(opened.Text, "\n")
	if !signed || len(lines) != 4 || lines[0] != l.name {
		fail("checkpoint: not signed by the log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	must(err, "checkpoint")
	root, err := tlog.ParseHash(lines[2])
	must(err, "checkpoint")
	return tlog.Tree{N: size, Hash: root}, cosigned
}

// tiles reads the published folder. C2SP leaves out the height that Go writes in front.
type tiles struct{ folder string }

func (t tiles) file(tile tlog.Tile) string {
	path := strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/", height))
	return filepath.Join(t.folder, "tile", strings.Replace(path, "data/", "entries/", 1))
}
func (t tiles) Height() int                     { return height }
func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}
func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var read [][]byte
	for _, tile := range wanted {
		data, err := os.ReadFile(t.file(tile))
		if err != nil {
			return nil, err
		}
		read = append(read, data)
	}
	return read, nil
}

// store keeps the hashes of the tree as it is rebuilt.
type store []tlog.Hash

func (s store) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var hashes []tlog.Hash
	for _, index := range indexes {
		if index >= int64(len(s)) {
			return nil, errors.New("no such hash")
		}
		hashes = append(hashes, s[index])
	}
	return hashes, nil
}

// rebuild computes the tree from the entries alone.
func rebuild(t tiles, size int64) store {
	var hashes store
	for start := int64(0); start < size; start += 1 << height {
		width := int(size - start)
		if width > 1<<height {
			width = 1 << height
		}
		tile := tlog.Tile{H: height, L: -1, N: start >> height, W: width}
		data, err := os.ReadFile(t.file(tile))
		must(err, "bundle")
		for place := int64(0); place < int64(width); place++ {
			if len(data) < 2 || len(data) < 2+int(binary.BigEndian.Uint16(data)) {
				fail("%s is cut off at entry %d", t.file(tile), start+place)
			}
			end := 2 + int(binary.BigEndian.Uint16(data))
			more, err := tlog.StoredHashes(start+place, data[2:end], hashes)
			must(err, "bundle")
			hashes, data = append(hashes, more...), data[end:]
		}
		if len(data) != 0 {
			fail("%s has bytes after its last entry", t.file(tile))
		}
	}
	return hashes
}

// compareTiles compares every tile that the size needs with the rebuilt tree.
func compareTiles(t tiles, size int64, rebuilt store) int {
	// Go lists every narrower width of a partial tile as well; no checkpoint here needed those.
	widest := map[tlog.Tile]int{}
	for _, tile := range tlog.NewTiles(height, 0, size) {
		place := tlog.Tile{H: tile.H, L: tile.L, N: tile.N}
		if tile.W > widest[place] {
			widest[place] = tile.W
		}
	}
	wrong := 0
	for tile, width := range widest {
		tile.W = width
		want, err := tlog.ReadTileData(tile, rebuilt)
		must(err, "tile")
		found, err := os.ReadFile(t.file(tile))
		if err != nil || !bytes.Equal(found, want) {
			fmt.Printf("%s differs\n", t.file(tile))
			wrong++
		}
	}
	if wrong > 0 {
		fail("%d tiles differ from the entries", wrong)
	}
	return len(widest)
}

// entry is what the log holds of an opened entry.
func entry(extra []byte) []byte {
	if extra[0] == 2 {
		return extra
	}
	// Without room behind it, so that what is cut off is not read as zeros.
	extra = extra[:len(extra):len(extra)]
	salts, at := [2][]byte{extra[1:33], nil}, 33
	if extra[0] == 1 {
		salts[1], at = extra[33:65], 65
	}
	digests := map[byte][]byte{}
	count := int(extra[at])
	at++
	for ; count > 0; count-- {
		field, length := extra[at], int(binary.BigEndian.Uint16(extra[at+1:]))
		group := 0
		if field == 3 || field == 5 || field == 10 {
			group = 1
		}
		mac := hmac.New(sha256.New, salts[group])
		mac.Write([]byte{'f', field})
		message := append([]byte{'f', field}, mac.Sum(nil)...)
		digest := sha256.Sum256(append(message, extra[at+3:at+3+length]...))
		digests[field] = digest[:]
		at += 3 + length
	}
	if extra[0] == 3 {
		for at++; at < len(extra); at += 33 {
			digests[extra[at]] = extra[at+1 : at+33]
		}
	}
	message := append([]byte("hitmachine/audit/v1\n"), byte(len(digests)))
	for field := 0; field < 256; field++ {
		if digest, found := digests[byte(field)]; found {
			message = append(append(message, byte(field)), digest...)
		}
	}
	commitment := sha256.Sum256(message)
	return append([]byte{1}, commitment[:]...)
}

// checkProof checks a c2sp.org/tlog-proof@v1 with our `extra`, and that its tree is the beginning of this one.
func checkProof(path string, l log, tree tlog.Tree, rebuilt store) {
	data, err := os.ReadFile(path)
	must(err, path)
	head, signed, found := strings.Cut(string(data), "\n\n")
	lines := strings.Split(head, "\n")
	if !found || len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" {
		fail("%s: not a proof", path)
	}
	extra, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[1], "extra "))
	must(err, path)
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64)
	must(err, path)
	var proof tlog.RecordProof
	for _, line := range lines[3:] {
		hash, err := tlog.ParseHash(line)
		must(err, path)
		proof = append(proof, hash)
	}
	old, _ := l.open([]byte(signed))
	must(tlog.CheckRecord(proof, old.N, old.Hash, index, tlog.RecordHash(entry(extra))), path)
	if old.N > tree.N {
		fail("%s: has more entries than the folder", path)
	}
	grown, err := tlog.ProveTree(tree.N, old.N, rebuilt)
	must(err, path)
	must(tlog.CheckTree(grown, tree.N, tree.Hash, old.N, old.Hash), path)
}

func main() {
	// Bytes that are not as they should be, wherever that shows.
	defer func() {
		if problem := recover(); problem != nil {
			fail("%v", problem)
		}
	}()
	folder := tiles{os.Args[1]}
	verifier, err := note.NewVerifier(os.Args[2])
	must(err, "log key")
	verifiers := []note.Verifier{verifier}
	for _, vkey := range os.Args[3:] {
		witness, err := newWitness(vkey)
		must(err, "witness key")
		verifiers = append(verifiers, witness)
	}
	l := log{verifier.Name(), note.VerifierList(verifiers...)}
	signed, err := os.ReadFile(filepath.Join(folder.folder, "checkpoint"))
	must(err, "checkpoint")
	tree, cosigned := l.open(signed)
	if count := len(os.Args[3:]); count > 0 && cosigned < 1+2*count/3 {
		fail("%d of %d witnesses are too few", cosigned, count)
	}

	rebuilt := rebuild(folder, tree.N)
	root, err := tlog.TreeHash(tree.N, rebuilt)
	must(err, "root")
	if tree.N == 0 {
		// Go has zeros for a tree without leaves, RFC 9162 the hash of nothing.
		root = sha256.Sum256(nil)
	}
	if root != tree.Hash {
		fail("the entries do not give the signed root")
	}
	compared := compareTiles(folder, tree.N, rebuilt)

	// As a client of Go does it: only what it needs, through tiles that must fit the signed root.
	reader := tlog.TileHashReader(tree, folder)
	for index := int64(0); index < tree.N; index += 1 + tree.N/50 {
		proof, err := tlog.ProveRecord(tree.N, index, reader)
		must(err, "record")
		leaf, err := rebuilt.ReadHashes([]int64{tlog.StoredHashIndex(0, index)})
		must(err, "record")
		must(tlog.CheckRecord(proof, tree.N, tree.Hash, index, leaf[0]), "record")
	}

	var proofs []string
	must(filepath.WalkDir(folder.folder, func(path string, entry fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".tlog-proof") {
			proofs = append(proofs, path)
		}
		return err
	}), "proofs")
	sort.Strings(proofs)
	for _, path := range proofs {
		checkProof(path, l, tree, rebuilt)
	}
	fmt.Printf("ok: %d entries, %d tiles, %d cosignatures, %d proofs\n", tree.N, compared, cosigned, len(proofs))
}

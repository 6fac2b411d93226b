package body_test

import (
	"testing"

	"github.com/clewhq/clew/internal/store/local/body"
)

// A group of a busy server: 25 traces of 40 KB.
func group() (chunks [][]byte, raw int64) {
	for i := range 25 {
		chunks = append(chunks, text(40_000, uint64(i)))
		raw += 40_000
	}
	return chunks, raw
}

func BenchmarkAppend(b *testing.B) {
	for name, sync := range map[string]bool{"unsynced": false, "synced": true} {
		b.Run(name, func(b *testing.B) {
			f := open(b, b.TempDir(), body.Options{})
			chunks, raw := group()
			b.SetBytes(raw)
			b.ReportAllocs()
			for b.Loop() {
				places, err := f.Append(chunks)
				if err == nil && sync {
					err = f.Sync()
				}
				if err != nil {
					b.Fatal(err)
				}
				if p := places[0]; p.File > 1 && p.Off == 32 { // a new log: bound the disk that is used
					if err := f.Sync(); err != nil {
						b.Fatal(err)
					}
					if err := f.Remove(p.File - 1); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

func BenchmarkChunk(b *testing.B) {
	f := open(b, b.TempDir(), body.Options{})
	chunks, _ := group()
	places := appendSync(b, f, chunks...)
	var buf []byte
	b.SetBytes(40_000)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		var err error
		if buf, err = f.Chunk(places[i%len(places)], buf[:0]); err != nil {
			b.Fatal(err)
		}
	}
}

func sealedBlock() []body.Section {
	return []body.Section{
		{Kind: body.Bodies, Data: text(1<<20, 1)},
		{Kind: body.Search, Data: noise(8000, 1)},
		{Kind: body.Columns, Data: noise(3200, 2)},
	}
}

func BenchmarkSeal(b *testing.B) {
	f := open(b, b.TempDir(), body.Options{})
	sections := sealedBlock()
	b.SetBytes(1 << 20)
	b.ReportAllocs()
	for b.Loop() {
		p, err := f.Seal(20_000, sections)
		if err != nil {
			b.Fatal(err)
		}
		if p.File > 1 && p.Off == 32 {
			if err := f.SyncSealed(); err != nil {
				b.Fatal(err)
			}
			if err := f.Remove(p.File - 1); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkBlock(b *testing.B) {
	f := open(b, b.TempDir(), body.Options{})
	p := seal(b, f, 20_000, sealedBlock()...)
	for name, kind := range map[string]body.SectionKind{"bodies": body.Bodies, "search": body.Search} {
		b.Run(name, func(b *testing.B) {
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				var err error
				if buf, err = f.Block(p, kind, buf[:0]); err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes(int64(len(buf)))
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	f := open(b, dir, body.Options{HotBytes: 1})
	for range 1000 {
		if _, err := f.Append([][]byte{[]byte("x")}); err != nil {
			b.Fatal(err)
		}
	}
	f.Close()
	for b.Loop() {
		f, err := body.Open(dir, body.Options{})
		if err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
}

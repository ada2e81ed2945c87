package gemini

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
)

// media is what a part without text holds: bytes in the request (inlineData) or
// the place of a file (fileData).
type media struct {
	mime string // "": Google finds out
	data string // base64
	uri  string // "": inline
}

func (m media) append(dst []byte) []byte {
	name, key, value := `"inlineData":{`, `"data":`, m.data
	if m.uri != "" {
		name, key, value = `"fileData":{`, `"fileUri":`, m.uri
	}
	dst = append(dst, name...)
	if m.mime != "" {
		dst = append(dst, `"mimeType":`...)
		dst = append(jsonedit.AppendString(dst, m.mime), ',')
	}
	dst = append(dst, key...)
	return append(jsonedit.AppendString(dst, value), '}')
}

// mediaOf reads an image, audio or file part.
func mediaOf(p *chat.Part) (media, error) {
	switch p.Type {
	case "image_url":
		return mediaAt(p.Image.URL, p.Image.Format, "")
	case "input_audio":
		mime := p.Audio.Format
		if !strings.Contains(mime, "/") {
			mime = "audio/" + mime
		}
		return media{mime: mime, data: p.Audio.Data}, nil
	case "file":
		switch {
		case p.File.Data != "" && !strings.HasPrefix(p.File.Data, "data:"):
			return bareFile(p.File)
		case p.File.Data != "":
			return mediaAt(p.File.Data, p.File.Format, p.File.Name)
		case p.File.ID != "":
			return mediaAt(p.File.ID, p.File.Format, p.File.Name)
		}
		return media{}, fmt.Errorf("a file part needs file_data or file_id")
	}
	return media{}, fmt.Errorf("gemini takes text, images, audio and files, not %q parts", p.Type)
}

// bareFile is a file whose base64 stands there without a data: URL.
func bareFile(f chat.File) (media, error) {
	mime := f.Format
	if mime == "" {
		mime = mimeOf(f.Name)
	}
	if mime == "" {
		return media{}, fmt.Errorf("cannot tell the media type of the file: send file_data as a data: URL")
	}
	return media{mime: mime, data: f.Data}, nil
}

// mediaAt reads the URL of a part. A remote file is Google's to fetch, from the
// web, Cloud Storage or its Files API: this gateway fetches nothing.
func mediaAt(address, mime, name string) (media, error) {
	scheme, _, ok := strings.Cut(address, ":")
	if !ok {
		return media{}, fmt.Errorf("must be a data:, https: or gs: URL")
	}
	switch strings.ToLower(scheme) {
	case "data":
		return dataURL(address[len("data:"):], mime)
	case "https", "http", "gs":
		for _, path := range [...]string{address, name} {
			if mime == "" {
				mime = mimeOf(path)
			}
		}
		return media{mime: mime, uri: address}, nil
	}
	return media{}, fmt.Errorf("must be a data:, https: or gs: URL, not %q", scheme)
}

// dataURL reads what follows "data:". mime, when given, wins over the
// media type the URL names.
func dataURL(rest, mime string) (media, error) {
	u, err := chat.ParseDataURL(rest)
	if err != nil {
		return media{}, err
	}
	return media{mime: cmp.Or(mime, u.MIME, "text/plain"), data: u.Encoded()}, nil
}

// mimeOf returns the media type that the extension of a file name or URL stands
// for, among those Gemini reads, or "".
// https://ai.google.dev/gemini-api/docs/file-input-methods
func mimeOf(name string) string {
	if i := strings.IndexAny(name, "?#"); i >= 0 {
		name = name[:i]
	}
	dot := strings.LastIndexByte(name, '.')
	if dot < strings.LastIndexByte(name, '/') || dot < 0 {
		return ""
	}
	switch ext := strings.ToLower(name[dot+1:]); ext {
	case "png", "webp", "heic", "heif", "gif", "bmp":
		return "image/" + ext
	case "jpg", "jpeg":
		return "image/jpeg"
	case "pdf", "json":
		return "application/" + ext
	case "txt":
		return "text/plain"
	case "md":
		return "text/markdown"
	case "html", "css", "csv", "xml", "rtf":
		return "text/" + ext
	case "wav", "mp3", "aac", "ogg", "flac", "aiff", "m4a":
		return "audio/" + ext
	case "mp4", "mov", "avi", "wmv", "flv", "webm", "mpegps":
		return "video/" + ext
	case "mpg", "mpeg":
		return "video/mpeg"
	case "3gp", "3gpp":
		return "video/3gpp"
	}
	return ""
}

// resolutions are OpenAI's image details as Gemini says them, from low to high.
var resolutions = [...]struct{ detail, level string }{
	{}, // auto: the model's choice
	{"low", "MEDIA_RESOLUTION_LOW"},
	{"medium", "MEDIA_RESOLUTION_MEDIUM"},
	{"high", "MEDIA_RESOLUTION_HIGH"},
}

// resolution appends the detail of an image to its part. Before Gemini 3 there
// is one resolution for the whole request: the highest asked for.
// https://ai.google.dev/gemini-api/docs/media-resolution
func (w *contents) resolution(p *chat.Part) {
	for i, r := range resolutions {
		if r.detail == "" || r.detail != p.Image.Detail {
			continue
		}
		w.highest = max(w.highest, i)
		if w.model.third() {
			w.out = append(w.out, `,"mediaResolution":{"level":"`+r.level+`"}`...)
		}
	}
}

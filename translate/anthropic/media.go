package anthropic

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
)

const filesBeta = "files-api-2025-04-14"

// part appends the block of one content part. What the part refers to by URL is
// Anthropic's to fetch: this gateway fetches nothing.
func (b *body) part(p *chat.Part) error {
	var err error
	switch p.Type {
	case "text", "refusal":
		b.text(p.Text)
	case "image_url":
		err = b.mediaAt(p.Image.URL, p.Image.Format)
	case "file":
		err = b.file(&p.File)
	case "input_audio":
		return fmt.Errorf("%s takes no audio", b.tr.target.Provider)
	case "image", "document", "search_result", "container_upload":
		b.out = append(b.out, p.Raw...) // Anthropic's own block, cache_control included
		b.talk.marked = true
		return nil
	default:
		return fmt.Errorf("%s takes text, images and files, not %q parts", b.tr.target.Provider, p.Type)
	}
	if err != nil {
		return err
	}
	b.endBlock(p.CacheControl)
	return nil
}

func (b *body) file(f *chat.File) error {
	switch {
	case strings.HasPrefix(f.Data, "data:"):
		return b.mediaAt(f.Data, f.Format)
	case f.Data != "":
		mime := f.Format
		if mime == "" {
			mime = mimeOf(f.Name)
		}
		return b.inline(mime, f.Data)
	case strings.HasPrefix(f.ID, "https:"):
		b.source(isImage(f.Format) || f.Format == "" && isImage(mimeOf(f.ID)), "url", "url", f.ID)
		return nil
	case strings.Contains(f.ID, "://"):
		return b.mediaAt(f.ID, f.Format)
	case f.ID != "":
		b.betas = append(b.betas, filesBeta)
		b.source(isImage(f.Format), "file", "file_id", f.ID)
		return nil
	}
	return fmt.Errorf("a file part needs file_data or file_id")
}

// mediaAt opens the block for an image or a document at a URL. mime, when given,
// wins over the type that a data: URL names.
// https://platform.claude.com/docs/en/build-with-claude/vision
func (b *body) mediaAt(address, mime string) error {
	scheme, rest, ok := strings.Cut(address, ":")
	switch scheme = strings.ToLower(scheme); {
	case !ok:
		return fmt.Errorf("must be a data: or https: URL")
	case scheme == "data":
		return b.dataURL(rest, mime)
	case scheme == "https":
		if mime == "" {
			mime = mimeOf(address)
		}
		b.source(mime != "application/pdf", "url", "url", address)
		return nil
	}
	return fmt.Errorf("must be a data: or https: URL, not %q: send the content as a data: URL", scheme)
}

// dataURL reads what follows "data:".
func (b *body) dataURL(rest, mime string) error {
	u, err := chat.ParseDataURL(rest)
	if err != nil {
		return err
	}
	mime = cmp.Or(mime, u.MIME)
	if !u.Base64 && (mime == "" || isText(mime)) {
		b.plainText(u.Data)
		return nil
	}
	return b.inline(mime, u.Encoded())
}

// inline opens the block for base64 data: an image, a PDF or a text.
func (b *body) inline(mime, data string) error {
	mime = strings.ToLower(strings.TrimSpace(mime))
	if mime == "image/jpg" {
		mime = "image/jpeg"
	}
	switch {
	case mime == "image/jpeg", mime == "image/png", mime == "image/gif", mime == "image/webp", mime == "application/pdf":
		b.out = append(b.out, `{"type":"`+blockFor(isImage(mime))+`","source":{"type":"base64","media_type":"`+mime+`","data":`...)
		b.out = append(jsonedit.AppendString(b.out, data), '}')
		return nil
	case isText(mime):
		text, err := base64.StdEncoding.DecodeString(data)
		if err != nil {
			return fmt.Errorf("the data is not base64: %w", err)
		}
		b.plainText(string(text))
		return nil
	}
	return fmt.Errorf("%s takes jpeg, png, gif and webp images, PDF and text, not %q", b.tr.target.Provider, mime)
}

// plainText opens a document of text, which Anthropic wants as it is: base64 is
// for PDF alone.
func (b *body) plainText(text string) {
	b.out = append(b.out, `{"type":"document","source":{"type":"text","media_type":"text/plain","data":`...)
	b.out = append(jsonedit.AppendString(b.out, text), '}')
}

// source opens a block that names the place of its data.
func (b *body) source(image bool, kind, member, value string) {
	b.out = append(b.out, `{"type":"`+blockFor(image)+`","source":{"type":"`+kind+`","`+member+`":`...)
	b.out = append(jsonedit.AppendString(b.out, value), '}')
}

func blockFor(image bool) string {
	if image {
		return "image"
	}
	return "document"
}

func isImage(mime string) bool { return strings.HasPrefix(mime, "image/") }

func isText(mime string) bool { return strings.HasPrefix(mime, "text/") || mime == "application/json" }

// mimeOf returns the media type that the extension of a file name or URL stands
// for, or "".
func mimeOf(name string) string {
	if i := strings.IndexAny(name, "?#"); i >= 0 {
		name = name[:i]
	}
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 || dot < strings.LastIndexByte(name, '/') {
		return ""
	}
	switch ext := strings.ToLower(name[dot+1:]); ext {
	case "png", "webp", "gif", "jpeg":
		return "image/" + ext
	case "jpg":
		return "image/jpeg"
	case "pdf":
		return "application/pdf"
	case "txt", "md", "csv", "html", "xml", "json":
		return "text/plain"
	}
	return ""
}

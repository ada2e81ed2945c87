package tokens

import (
	"strings"

	"github.com/isthmus-proxy/isthmus/translate/chat"
)

// What is not text counts as these. The sizes of images are not looked at.
const (
	// lowDetail and highDetail are OpenAI's tokens for an image of low detail and
	// for one of 1024×1024 pixels.
	// https://platform.openai.com/docs/guides/images-vision#calculating-costs
	lowDetail  = 85
	highDetail = 85 + 4*170
	// documentBytes of a PDF make one token: pages of some 60 KB and 1500 tokens.
	documentBytes = 40
	// Speech makes ten tokens a second: of 24 kHz 16-bit samples, or of MP3.
	waveBytes, mp3Bytes = 4800, 1600
	// fileTokens stands for a file that is somewhere else.
	fileTokens = 1500
)

// media returns the tokens of a content part that is not text.
func media(p *chat.Part) int64 {
	switch p.Type {
	case "image_url":
		if p.Image.Detail == "low" {
			return lowDetail
		}
		return highDetail
	case "input_audio":
		if p.Audio.Format == "mp3" {
			return decoded(p.Audio.Data) / mp3Bytes
		}
		return decoded(p.Audio.Data) / waveBytes
	case "file":
		if p.File.Data == "" {
			return fileTokens
		}
		if kind, _, _ := strings.Cut(p.File.Data, ";"); strings.HasPrefix(kind, "data:text/") {
			return Guess(int(decoded(p.File.Data)))
		}
		return decoded(p.File.Data) / documentBytes
	}
	return 0
}

// decoded is about how many bytes a base64 text stands for.
func decoded(text string) int64 { return int64(len(text)) * 3 / 4 }

// Package azure speaks to Azure OpenAI: OpenAI's format under another URL and
// another key header. The deployment stands in the path, the version in the
// query; the v1 surface (…/openai/v1) is OpenAI's own paths.
// https://learn.microsoft.com/azure/ai-services/openai/reference
package azure

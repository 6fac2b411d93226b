package pricing

// priceKey is the usage key under which price lists price what another name
// for the same units asks for; "" where key is no such other name. Providers
// and SDKs name one bucket in many ways, so a list need not.
func priceKey(key string) string {
	switch key {
	case "input_cache_read", "cache_read_input_tokens", "cached_content_token_count", "input_cached_text_tokens":
		return "input_cached_tokens"
	case "cache_creation_input_tokens", "cache_write_tokens", "input_cache_write":
		return "input_cache_creation"
	case "output_reasoning", "reasoning_tokens", "thoughts_token_count", "thoughtsTokenCount":
		return "output_reasoning_tokens"
	case "input_tokens", "prompt_token_count", "promptTokenCount", "input_text", "input_modality_1", "input_text_tokens":
		return "input"
	case "output_tokens", "candidates_token_count", "candidatesTokenCount", "output_text", "output_text_tokens":
		return "output"
	case "input_audio":
		return "input_audio_tokens"
	case "output_audio":
		return "output_audio_tokens"
	case "webSearchQueries", "grounding_queries", "groundingQueries":
		return "web_search_queries"
	}
	return ""
}

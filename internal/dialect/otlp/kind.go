package otlp

import (
	"strconv"
	"strings"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/clewhq/clew/internal/domain"
)

// kindRule derives a type from the text of one attribute. Rules are tried in
// order; a value that a rule does not know falls through to the next.
type kindRule struct {
	attr   attr
	types  map[string]domain.ObservationType
	upper  bool // compare in capitals
	quoted bool // the text is JSON
	model  bool // only where a model is named too
	prefix bool // the value may go on after a space
}

var langfuseTypes = map[string]domain.ObservationType{
	"span":       domain.TypeSpan,
	"generation": domain.TypeGeneration,
	"event":      domain.TypeEvent,
	"embedding":  domain.TypeEmbedding,
	"agent":      domain.TypeAgent,
	"tool":       domain.TypeTool,
	"chain":      domain.TypeChain,
	"retriever":  domain.TypeRetriever,
	"guardrail":  domain.TypeGuardrail,
	"evaluator":  domain.TypeEvaluator,
}

var vercelTypes = map[string]domain.ObservationType{
	"ai.generateText.doGenerate":   domain.TypeGeneration,
	"ai.streamText.doStream":       domain.TypeGeneration,
	"ai.generateObject.doGenerate": domain.TypeGeneration,
	"ai.streamObject.doStream":     domain.TypeGeneration,
	"ai.embed.doEmbed":             domain.TypeEmbedding,
	"ai.embedMany.doEmbed":         domain.TypeEmbedding,
}

// kindRules are Langfuse's derivation of a type, up to its rule that looks at
// tool attributes.
var kindRules = []kindRule{
	{attr: aType, types: langfuseTypes},
	{attr: aOIKind, types: map[string]domain.ObservationType{
		"LLM":       domain.TypeGeneration,
		"CHAIN":     domain.TypeChain,
		"RETRIEVER": domain.TypeRetriever,
		"EMBEDDING": domain.TypeEmbedding,
		"AGENT":     domain.TypeAgent,
		"TOOL":      domain.TypeTool,
		"GUARDRAIL": domain.TypeGuardrail,
		"EVALUATOR": domain.TypeEvaluator,
	}},
	{attr: aOperation, types: map[string]domain.ObservationType{
		"chat":             domain.TypeGeneration,
		"completion":       domain.TypeGeneration,
		"text_completion":  domain.TypeGeneration,
		"generate_content": domain.TypeGeneration,
		"generate":         domain.TypeGeneration,
		"embeddings":       domain.TypeEmbedding,
		"invoke_agent":     domain.TypeAgent,
		"create_agent":     domain.TypeAgent,
		"execute_tool":     domain.TypeTool,
	}},
	{attr: aGenkitSubtype, types: map[string]domain.ObservationType{
		"model":            domain.TypeGeneration,
		"background-model": domain.TypeGeneration,
		"embedder":         domain.TypeEmbedding,
		"tool":             domain.TypeTool,
		"tool.v2":          domain.TypeTool,
		"retriever":        domain.TypeRetriever,
		"evaluator":        domain.TypeEvaluator,
	}},
	{attr: aVercelOperation, types: vercelTypes, model: true, prefix: true},
	{attr: aVercelOperationID, types: vercelTypes, model: true},
	{attr: aVercelOperation, types: map[string]domain.ObservationType{"ai.toolCall": domain.TypeTool}, prefix: true},
	{attr: aVercelOperationID, types: map[string]domain.ObservationType{"ai.toolCall": domain.TypeTool}},
}

// moreKindRules are ours. They stand after all of Langfuse's but its last, so
// that they never change what it would answer.
var moreKindRules = []kindRule{
	{attr: aOIKind, upper: true, types: map[string]domain.ObservationType{
		"RERANKER": domain.TypeRetriever,
		"PROMPT":   domain.TypeSpan,
		"DECISION": domain.TypeGeneration,
	}},
	{attr: aOperation, types: map[string]domain.ObservationType{
		"retrieval":       domain.TypeRetriever,
		"invoke_workflow": domain.TypeChain,
	}},
	{attr: aTraceloopKind, types: map[string]domain.ObservationType{
		"workflow": domain.TypeChain,
		"task":     domain.TypeChain,
		"agent":    domain.TypeAgent,
		"tool":     domain.TypeTool,
	}},
	{attr: aLLMRequestType, types: map[string]domain.ObservationType{
		"chat":       domain.TypeGeneration,
		"completion": domain.TypeGeneration,
		"embedding":  domain.TypeEmbedding,
		"rerank":     domain.TypeRetriever,
	}},
	{attr: aMLflowKind, upper: true, quoted: true, types: map[string]domain.ObservationType{
		"LLM":        domain.TypeGeneration,
		"CHAT_MODEL": domain.TypeGeneration,
		"CHAIN":      domain.TypeChain,
		"WORKFLOW":   domain.TypeChain,
		"AGENT":      domain.TypeAgent,
		"TOOL":       domain.TypeTool,
		"RETRIEVER":  domain.TypeRetriever,
		"RERANKER":   domain.TypeRetriever,
		"EMBEDDING":  domain.TypeEmbedding,
		"GUARDRAIL":  domain.TypeGuardrail,
		"EVALUATOR":  domain.TypeEvaluator,
	}},
}

// spanNameTypes types the spans of tracers that say it only by their name.
var spanNameTypes = map[string]map[string]domain.ObservationType{
	"livekit-agents": {
		"agent_turn":           domain.TypeAgent,
		"start_agent_activity": domain.TypeAgent,
		"function_tool":        domain.TypeTool,
	},
}

var (
	toolAttrs      = []attr{aToolName, aToolCallID}
	flueToolAttrs  = []attr{aFlueToolIn, aFlueToolOut}
	flueTaskAttrs  = []attr{aFlueTaskIn, aFlueTaskOut}
	retrievalAttrs = []attr{aRetrievalQuery, aRetrievalDocuments}
	typingModels   = []attr{aModelName, aRequestModel, aResponseModel, aLLMModel, aPlainModel}
	vercelModels   = []attr{aModelName, aRequestModel, aResponseModel, aLLMModel, aPlainModel, aVercelModel}
	generationOnly = []attr{aModelName, aCostDetails, aUsageDetails, aPromptName, aModelParameters}
)

// kind is the type of the mapper's span.
func (m *mapper) kind() domain.ObservationType {
	// Python SDKs to 3.3 call everything a span.
	if m.scope.spanOnly && text(m.val[aType]) == "span" && m.any(generationOnly) {
		return domain.TypeGeneration
	}
	if t := m.kindBy(kindRules); t != "" {
		return t
	}
	switch {
	case m.any(toolAttrs), m.any(flueToolAttrs):
		return domain.TypeTool
	case m.any(flueTaskAttrs):
		return domain.TypeAgent
	}
	if t := spanNameTypes[m.scope.name][m.span.GetName()]; t != "" {
		return t
	}
	if t := m.kindBy(moreKindRules); t != "" {
		return t
	}
	if !isSet(m.val[aOperation]) {
		switch {
		case m.any(retrievalAttrs):
			return domain.TypeRetriever
		case isSet(m.val[aEmbeddingDimensions]):
			return domain.TypeEmbedding
		}
	}
	if m.any(typingModels) {
		return domain.TypeGeneration
	}
	return domain.TypeSpan
}

func (m *mapper) kindBy(rules []kindRule) domain.ObservationType {
	for i := range rules {
		r := &rules[i]
		v := text(m.val[r.attr])
		if v == "" || r.model && !m.any(vercelModels) {
			continue
		}
		if r.quoted {
			v = unquoted(v)
		}
		if r.upper {
			v = strings.ToUpper(v)
		}
		if r.prefix {
			v, _, _ = strings.Cut(v, " ")
		}
		if t := r.types[v]; t != "" {
			return t
		}
	}
	return ""
}

// aggregates are operations whose spans repeat the sums of their children:
// counting their usage would double the cost of the trace.
func (m *mapper) aggregates() bool {
	switch text(m.val[aOperation]) {
	case "invoke_agent", "agent_step":
		return true
	}
	return false
}

// level is the level that the sender named, else what the status says.
func (m *mapper) level() domain.Level {
	if v := text(m.val[aLevel]); v != "" {
		switch strings.ToUpper(v) {
		case "DEBUG", "TRACE", "VERBOSE":
			return domain.LevelDebug
		case "DEFAULT", "INFO", "LOG", "NOTICE", "OK", "SUCCESS":
			return domain.LevelDefault
		case "WARN", "WARNING":
			return domain.LevelWarning
		case "ERROR", "FATAL", "CRITICAL":
			return domain.LevelError
		}
	}
	if m.span.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR {
		return domain.LevelError
	}
	return domain.LevelDefault
}

// spanOnlySDK reports whether a scope is that of a Langfuse SDK which knows no
// other type than span.
func spanOnlySDK(name, version string) bool {
	if name != "langfuse-sdk" {
		return false
	}
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	a, err := strconv.Atoi(major)
	b, err2 := strconv.Atoi(minor)
	return err == nil && err2 == nil && (a < 3 || a == 3 && b <= 3)
}

package otlp

import "strings"

// attr names an attribute that a rule asks for. Every rule is a list of attrs,
// so that one pass over a span's attributes serves all of them and another
// tracer's spelling is one more row.
type attr uint8

// The attributes, in the groups of attrTable.
const (
	noAttr attr = iota

	aType
	aLevel
	aStatusMessage
	aInput
	aOutput
	aObsMetadata
	aModelName
	aModelParameters
	aUsageDetails
	aCostDetails
	aCompletionStart
	aPromptName
	aPromptVersion
	aOldPromptName
	aOldPromptVersion
	aEnvironment
	aRelease
	aVersion
	aTraceName
	aTraceInput
	aTraceOutput
	aTraceMetadata
	aTracePublic
	aPublic
	aTraceTags
	aTags
	aAnyMetadata
	aLangfuseUser
	aLangfuseSession
	aUser
	aSession
	aAppRoot
	aAsRoot
	aExperimentID
	aExperimentName
	aExperimentDescription
	aExperimentMetadata
	aExperimentDataset
	aItemID
	aItemVersion
	aItemMetadata
	aItemExpected
	aItemRoot
	aObsMetaUser
	aObsMetaSession
	aObsMetaTags
	aTraceMetaUser
	aTraceMetaSession
	aTraceMetaTags

	aDeploymentEnvName
	aDeploymentEnv

	aOperation
	aToolName
	aToolCallID
	aToolArguments
	aToolResult
	aRequestModel
	aResponseModel
	aConversation
	aInputMessages
	aOutputMessages
	aSystemInstructions
	aPrompt
	aCompletion
	aUsageCost
	aUsageInputCost
	aUsageOutputCost
	aTimeToFirstChunk
	aRetrievalQuery
	aRetrievalDocuments
	aEmbeddingDimensions

	aOIKind
	aOIInput
	aOIOutput
	aOITags
	aLLMModel
	aLLMResponseModel
	aLLMResponseModelName
	aLLMRequestModelName
	aEmbeddingModel
	aRerankerModel
	aLLMParameters
	aCostTotal
	aCostInput
	aCostOutput

	aTraceloopKind
	aTraceloopInput
	aTraceloopOutput
	aTraceloopUser
	aTraceloopSession
	aLLMRequestType
	aLLMTotalTokens

	aVercelOperation
	aVercelOperationID
	aVercelFunction
	aVercelModel
	aVercelSDKModel
	aVercelPromptMessages
	aVercelPrompt
	aVercelToolName
	aVercelToolArgs
	aVercelToolResult
	aVercelText
	aVercelToolCalls
	aVercelObject
	aVercelOldText
	aVercelOldToolCalls
	aVercelOldObject
	aVercelFirstChunk
	aVercelFirstChunkStream
	aVercelUser
	aVercelSession
	aVercelTags
	aVercelPromptLink

	aGenkitName
	aGenkitSubtype
	aGenkitInput
	aGenkitOutput

	aLogfireMessage
	aLogfirePrompt
	aLogfireMessages
	aPydanticMessages
	aPydanticResult
	aPydanticToolArguments
	aPydanticToolResponse
	aModelConfig

	aADKRequest
	aADKResponse
	aADKToolArgs
	aADKToolResponse
	aADKSession

	aLiveKitText
	aLiveKitTranscript
	aLiveKitContext
	aLiveKitToolOutput
	aLiveKitResponse

	aMLflowInputs
	aMLflowOutputs
	aMLflowKind
	aMLflowModel
	aMLflowUsage
	aMLflowUser
	aMLflowSession

	aFlueTurnIn
	aFlueTurnOut
	aFlueToolIn
	aFlueToolOut
	aFlueTaskIn
	aFlueTaskOut
	aFlueWorkflowIn
	aFlueOperationOut
	aFlueWorkflowOut

	aPlainInput
	aPlainOutput
	aPlainModel

	attrCount
)

// What becomes of an attribute in the leftovers that non-Langfuse spans keep
// in their metadata.
const (
	kept     = iota
	content  // held as input, output or metadata: never stored a second time
	loose    // a common word: content only where a rule took it
	langfuse // first-party
)

type attrInfo struct {
	name   string
	fate   uint8
	family family
}

// attrTable spells each attr.
var attrTable = [attrCount]attrInfo{
	aType:                  {"langfuse.observation.type", langfuse, 0},
	aLevel:                 {"langfuse.observation.level", langfuse, 0},
	aStatusMessage:         {"langfuse.observation.status_message", langfuse, 0},
	aInput:                 {"langfuse.observation.input", content, 0},
	aOutput:                {"langfuse.observation.output", content, 0},
	aObsMetadata:           {"langfuse.observation.metadata", content, 0},
	aModelName:             {"langfuse.observation.model.name", langfuse, 0},
	aModelParameters:       {"langfuse.observation.model.parameters", langfuse, 0},
	aUsageDetails:          {"langfuse.observation.usage_details", langfuse, 0},
	aCostDetails:           {"langfuse.observation.cost_details", langfuse, 0},
	aCompletionStart:       {"langfuse.observation.completion_start_time", langfuse, 0},
	aPromptName:            {"langfuse.observation.prompt.name", langfuse, 0},
	aPromptVersion:         {"langfuse.observation.prompt.version", langfuse, 0},
	aOldPromptName:         {"langfuse.prompt.name", langfuse, 0},
	aOldPromptVersion:      {"langfuse.prompt.version", langfuse, 0},
	aEnvironment:           {"langfuse.environment", langfuse, 0},
	aRelease:               {"langfuse.release", langfuse, 0},
	aVersion:               {"langfuse.version", langfuse, 0},
	aTraceName:             {"langfuse.trace.name", langfuse, 0},
	aTraceInput:            {"langfuse.trace.input", content, 0},
	aTraceOutput:           {"langfuse.trace.output", content, 0},
	aTraceMetadata:         {"langfuse.trace.metadata", content, 0},
	aTracePublic:           {"langfuse.trace.public", langfuse, 0},
	aPublic:                {"langfuse.public", langfuse, 0},
	aTraceTags:             {"langfuse.trace.tags", langfuse, 0},
	aTags:                  {"langfuse.tags", langfuse, 0},
	aAnyMetadata:           {"langfuse.metadata", content, 0},
	aLangfuseUser:          {"langfuse.user.id", langfuse, 0},
	aLangfuseSession:       {"langfuse.session.id", langfuse, 0},
	aUser:                  {"user.id", langfuse, 0},
	aSession:               {"session.id", langfuse, 0},
	aAppRoot:               {"langfuse.internal.is_app_root", langfuse, 0},
	aAsRoot:                {"langfuse.internal.as_root", langfuse, 0},
	aExperimentID:          {"langfuse.experiment.id", langfuse, 0},
	aExperimentName:        {"langfuse.experiment.name", langfuse, 0},
	aExperimentDescription: {"langfuse.experiment.description", langfuse, 0},
	aExperimentMetadata:    {"langfuse.experiment.metadata", langfuse, 0},
	aExperimentDataset:     {"langfuse.experiment.dataset.id", langfuse, 0},
	aItemID:                {"langfuse.experiment.item.id", langfuse, 0},
	aItemVersion:           {"langfuse.experiment.item.version", langfuse, 0},
	aItemMetadata:          {"langfuse.experiment.item.metadata", langfuse, 0},
	aItemExpected:          {"langfuse.experiment.item.expected_output", langfuse, 0},
	aItemRoot:              {"langfuse.experiment.item.root_observation_id", langfuse, 0},
	aObsMetaUser:           {"langfuse.observation.metadata.langfuse_user_id", content, fObsMetadata},
	aObsMetaSession:        {"langfuse.observation.metadata.langfuse_session_id", content, fObsMetadata},
	aObsMetaTags:           {"langfuse.observation.metadata.langfuse_tags", content, fObsMetadata},
	aTraceMetaUser:         {"langfuse.trace.metadata.langfuse_user_id", content, fTraceMetadata},
	aTraceMetaSession:      {"langfuse.trace.metadata.langfuse_session_id", content, fTraceMetadata},
	aTraceMetaTags:         {"langfuse.trace.metadata.langfuse_tags", content, fTraceMetadata},

	aDeploymentEnvName: {"deployment.environment.name", kept, 0},
	aDeploymentEnv:     {"deployment.environment", kept, 0},

	aOperation:           {"gen_ai.operation.name", kept, 0},
	aToolName:            {"gen_ai.tool.name", kept, 0},
	aToolCallID:          {"gen_ai.tool.call.id", kept, 0},
	aToolArguments:       {"gen_ai.tool.call.arguments", content, 0},
	aToolResult:          {"gen_ai.tool.call.result", content, 0},
	aRequestModel:        {"gen_ai.request.model", kept, 0},
	aResponseModel:       {"gen_ai.response.model", kept, 0},
	aConversation:        {"gen_ai.conversation.id", kept, 0},
	aInputMessages:       {"gen_ai.input.messages", content, 0},
	aOutputMessages:      {"gen_ai.output.messages", content, 0},
	aSystemInstructions:  {"gen_ai.system_instructions", content, 0},
	aPrompt:              {"gen_ai.prompt", content, 0},
	aCompletion:          {"gen_ai.completion", content, 0},
	aUsageCost:           {"gen_ai.usage.cost", kept, 0},
	aUsageInputCost:      {"gen_ai.usage.input_cost", kept, 0},
	aUsageOutputCost:     {"gen_ai.usage.output_cost", kept, 0},
	aTimeToFirstChunk:    {"gen_ai.response.time_to_first_chunk", kept, 0},
	aRetrievalQuery:      {"gen_ai.retrieval.query.text", kept, 0},
	aRetrievalDocuments:  {"gen_ai.retrieval.documents", kept, 0},
	aEmbeddingDimensions: {"gen_ai.embeddings.dimension.count", kept, 0},

	aOIKind:               {"openinference.span.kind", kept, 0},
	aOIInput:              {"input.value", content, 0},
	aOIOutput:             {"output.value", content, 0},
	aOITags:               {"tag.tags", kept, 0},
	aLLMModel:             {"llm.model_name", kept, 0},
	aLLMResponseModel:     {"llm.response.model", kept, 0},
	aLLMResponseModelName: {"llm.response.model_name", kept, 0},
	aLLMRequestModelName:  {"llm.request.model_name", kept, 0},
	aEmbeddingModel:       {"embedding.model_name", kept, 0},
	aRerankerModel:        {"reranker.model_name", kept, 0},
	aLLMParameters:        {"llm.invocation_parameters", kept, 0},
	aCostTotal:            {"llm.cost.total", kept, 0},
	aCostInput:            {"llm.cost.prompt", kept, 0},
	aCostOutput:           {"llm.cost.completion", kept, 0},

	aTraceloopKind:    {"traceloop.span.kind", kept, 0},
	aTraceloopInput:   {"traceloop.entity.input", content, 0},
	aTraceloopOutput:  {"traceloop.entity.output", content, 0},
	aTraceloopUser:    {"traceloop.association.properties.user_id", kept, 0},
	aTraceloopSession: {"traceloop.association.properties.session_id", kept, 0},
	aLLMRequestType:   {"llm.request.type", kept, 0},
	aLLMTotalTokens:   {"llm.usage.total_tokens", kept, 0},

	aVercelOperation:        {"operation.name", kept, 0},
	aVercelOperationID:      {"ai.operationId", kept, 0},
	aVercelFunction:         {"ai.telemetry.functionId", kept, 0},
	aVercelModel:            {"ai.model.id", kept, 0},
	aVercelSDKModel:         {"aisdk.model.id", kept, 0},
	aVercelPromptMessages:   {"ai.prompt.messages", content, 0},
	aVercelPrompt:           {"ai.prompt", content, 0},
	aVercelToolName:         {"ai.toolCall.name", kept, 0},
	aVercelToolArgs:         {"ai.toolCall.args", content, 0},
	aVercelToolResult:       {"ai.toolCall.result", content, 0},
	aVercelText:             {"ai.response.text", content, 0},
	aVercelToolCalls:        {"ai.response.toolCalls", content, 0},
	aVercelObject:           {"ai.response.object", content, 0},
	aVercelOldText:          {"ai.result.text", content, 0},
	aVercelOldToolCalls:     {"ai.result.toolCalls", content, 0},
	aVercelOldObject:        {"ai.result.object", content, 0},
	aVercelFirstChunk:       {"ai.response.msToFirstChunk", kept, 0},
	aVercelFirstChunkStream: {"ai.stream.msToFirstChunk", kept, 0},
	aVercelUser:             {"ai.telemetry.metadata.userId", content, 0},
	aVercelSession:          {"ai.telemetry.metadata.sessionId", content, 0},
	aVercelTags:             {"ai.telemetry.metadata.tags", content, 0},
	aVercelPromptLink:       {"ai.telemetry.metadata.langfusePrompt", content, 0},

	aGenkitName:    {"genkit:name", kept, 0},
	aGenkitSubtype: {"genkit:metadata:subtype", kept, 0},
	aGenkitInput:   {"genkit:input", content, 0},
	aGenkitOutput:  {"genkit:output", content, 0},

	aLogfireMessage:        {"logfire.msg", kept, 0},
	aLogfirePrompt:         {"prompt", loose, 0},
	aLogfireMessages:       {"all_messages_events", content, 0},
	aPydanticMessages:      {"pydantic_ai.all_messages", content, 0},
	aPydanticResult:        {"final_result", loose, 0},
	aPydanticToolArguments: {"tool_arguments", loose, 0},
	aPydanticToolResponse:  {"tool_response", loose, 0},
	aModelConfig:           {"model_config", kept, 0},

	aADKRequest:      {"gcp.vertex.agent.llm_request", content, 0},
	aADKResponse:     {"gcp.vertex.agent.llm_response", content, 0},
	aADKToolArgs:     {"gcp.vertex.agent.tool_call_args", content, 0},
	aADKToolResponse: {"gcp.vertex.agent.tool_response", content, 0},
	aADKSession:      {"gcp.vertex.agent.session_id", kept, 0},

	aLiveKitText:       {"lk.input_text", content, 0},
	aLiveKitTranscript: {"lk.user_transcript", content, 0},
	aLiveKitContext:    {"lk.chat_ctx", content, 0},
	aLiveKitToolOutput: {"lk.function_tool.output", content, 0},
	aLiveKitResponse:   {"lk.response.text", content, 0},

	aMLflowInputs:  {"mlflow.spanInputs", content, 0},
	aMLflowOutputs: {"mlflow.spanOutputs", content, 0},
	aMLflowKind:    {"mlflow.spanType", kept, 0},
	aMLflowModel:   {"mlflow.llm.model", kept, 0},
	aMLflowUsage:   {"mlflow.chat.tokenUsage", kept, 0},
	aMLflowUser:    {"mlflow.trace.user", kept, 0},
	aMLflowSession: {"mlflow.trace.session", kept, 0},

	aFlueTurnIn:       {"flue.turn.input", content, 0},
	aFlueTurnOut:      {"flue.turn.output", content, 0},
	aFlueToolIn:       {"flue.tool.arguments", content, 0},
	aFlueToolOut:      {"flue.tool.result", content, 0},
	aFlueTaskIn:       {"flue.task.prompt", content, 0},
	aFlueTaskOut:      {"flue.task.result", content, 0},
	aFlueWorkflowIn:   {"flue.workflow.payload", content, 0},
	aFlueOperationOut: {"flue.operation.result", content, 0},
	aFlueWorkflowOut:  {"flue.workflow.result", content, 0},

	aPlainInput:  {"input", loose, 0},
	aPlainOutput: {"output", loose, 0},
	aPlainModel:  {"model", kept, 0},
}

// attrByName is attrTable the other way round.
var attrByName = func() map[string]attr {
	m := make(map[string]attr, attrCount)
	for a := noAttr + 1; a < attrCount; a++ {
		m[attrTable[a].name] = a
	}
	return m
}()

// family is a set of attributes that share a prefix and are read together.
type family uint8

// The families.
const (
	noFamily family = iota
	fObsMetadata
	fTraceMetadata
	fAnyMetadata
	fVercelMetadata
	fExperimentMetadata
	fItemMetadata
	fPrompt
	fCompletion
	fInputMessages
	fOutputMessages
	fUsage
	fTokenCount
	fVercelUsage
	fRequest
	fInvocation
	fSettings
	familyCount
)

type familyInfo struct {
	prefix string // with its final dot
	fate   uint8
}

// familyTable spells each family.
var familyTable = [familyCount]familyInfo{
	fObsMetadata:        {"langfuse.observation.metadata.", content},
	fTraceMetadata:      {"langfuse.trace.metadata.", content},
	fAnyMetadata:        {"langfuse.metadata.", content},
	fVercelMetadata:     {"ai.telemetry.metadata.", content},
	fExperimentMetadata: {"langfuse.experiment.metadata.", langfuse},
	fItemMetadata:       {"langfuse.experiment.item.metadata.", langfuse},
	fPrompt:             {"gen_ai.prompt.", content},
	fCompletion:         {"gen_ai.completion.", content},
	fInputMessages:      {"llm.input_messages.", content},
	fOutputMessages:     {"llm.output_messages.", content},
	fUsage:              {"gen_ai.usage.", kept},
	fTokenCount:         {"llm.token_count.", kept},
	fVercelUsage:        {"ai.usage.", kept},
	fRequest:            {"gen_ai.request.", kept},
	fInvocation:         {"llm.invocation_parameters.", kept},
	fSettings:           {"ai.settings.", kept},
}

// familyOf is the family of a key that is no attr of its own.
func familyOf(key string) family {
	var from, to family
	switch {
	case strings.HasPrefix(key, "langfuse."):
		from, to = fObsMetadata, fItemMetadata
	case strings.HasPrefix(key, "gen_ai."):
		from, to = fPrompt, fRequest
	case strings.HasPrefix(key, "llm."):
		from, to = fInputMessages, fInvocation
	case strings.HasPrefix(key, "ai."):
		from, to = fVercelMetadata, fSettings
	default:
		return noFamily
	}
	for f := from; f <= to; f++ {
		if strings.HasPrefix(key, familyTable[f].prefix) {
			return f
		}
	}
	return noFamily
}

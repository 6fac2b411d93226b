// Package langfuse speaks the Langfuse public API: it decodes what the SDKs of
// every generation send into patches, and answers their reads from the store
// in the shapes that their models parse. Statuses, bodies and field rules are
// those of the Langfuse API; where Clew differs, docs/compat says so.
package langfuse

package langfuse

import "net/http"

const ingestionPath = "/api/public/ingestion"

func (a *API) writeRoutes(mux *http.ServeMux) {}

"""The evidence endpoints' paths, to be included under `api/v1/`."""

from django.urls import path

from registry import records_api

urlpatterns = [
    path("records", records_api.RecordsView.as_view(), name="records"),
    path("records/<str:event_id>", records_api.RecordView.as_view(), name="record"),
    path("checkpoints/latest", records_api.CheckpointView.as_view(), name="checkpoint-latest"),
    path("checkpoints/<int:size>", records_api.CheckpointView.as_view(), name="checkpoint"),
    path("proofs/inclusion", records_api.InclusionView.as_view(), name="proof-inclusion"),
    path("proofs/consistency", records_api.ConsistencyView.as_view(), name="proof-consistency"),
]

"""settings.py: RELAY_SIGNING_SECRET = os.environ["RELAY_SIGNING_SECRET"]; urls.py: path("hooks/camb", views.hook)."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from standardwebhooks import Webhook, WebhookVerificationError

from .models import Notification

webhook = Webhook(settings.RELAY_SIGNING_SECRET)


@csrf_exempt  # the signature proves more than a token of a form
@require_POST
def hook(request: HttpRequest) -> HttpResponse:
    try:
        webhook.verify(request.body, dict(request.headers), json_parse=False)
    except (WebhookVerificationError, ValueError):  # ValueError where a header makes no sense
        return HttpResponse(status=401)
    kept = Notification(id=request.headers["webhook-id"], body=request.body)
    Notification.objects.bulk_create([kept], ignore_conflicts=True)
    return HttpResponse(status=204)  # only now: what was answered is not sent again

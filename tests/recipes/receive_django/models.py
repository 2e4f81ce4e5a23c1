from django.db import models


class Notification(models.Model):
    """Its key remembers what has come, and the rows without `done_at` are what is to be done."""

    id = models.TextField(primary_key=True)
    body = models.BinaryField()
    kept_at = models.DateTimeField(auto_now_add=True)
    tries = models.PositiveIntegerField(default=0)
    done_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "inbox"
        indexes = [
            models.Index(fields=["tries", "kept_at"], condition=models.Q(done_at=None), name="inbox_open")
        ]

    def __str__(self) -> str:
        return str(self.id)

"""The one place to sign in, for the pages and the admin alike."""

from __future__ import annotations

from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView


class SignIn(LoginView):
    """Name and password; then on to where the person wanted to go."""

    template_name = "pages/login.html"
    redirect_authenticated_user = True
    authentication_form = AuthenticationForm

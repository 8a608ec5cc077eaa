"""The retention desk: pages under ``/desk`` for people, rendered on the server.

How to add a page, ``/desk/base`` as the example:

1. A module of routes, ``serve/desk/base.py``, with ``router = APIRouter()``. A route declares a scope, opens a page and
   shows a template; what waits for the database runs by ``page.store.read`` or ``page.change`` (which audits), what
   computes over a snapshot by ``page.store.off_loop``::

       @router.get("/desk/base", include_in_schema=False)
       async def read_base(request: Request, caller: Annotated[Caller, Depends(needs("read:list"))]) -> Response:
           page = await open_page(request, caller)
           return await page.show("base.html.jinja", total=page.snapshot.file.listed)

   A route that changes something is a POST: ``form = await posted(request)`` refuses a form without our token,
   ``return page.to("/desk/base", notice)`` leads on. A problem is raised as ``Problem(422, "invalid", message)``, with
   a message in the reader's language, and is shown as a page.
2. The router goes into ``ROUTERS`` of ``serve/desk/routes.py``; a page of the navigation also into ``NAVIGATION`` of
   ``serve/desk/frame.py``.
3. The template, ``templates/base.html.jinja``, extends ``layout.html.jinja`` and fills the blocks ``title`` and
   ``main``. Addresses begin with ``{{ root }}``; every form that posts holds ``{{ forms.token(token) }}`` (import the
   macros from ``forms.html.jinja``). Neither scripts nor styles in it: these are ``static/desk.js`` and ``desk.css``.
   Figures have filters: ``number``, ``share``, ``points``, ``money``, ``day``, ``moment``, ``value`` (a word of the
   data). A chart is a function of ``charts.py``, with a table of its figures behind it (the macro ``charts.figure``).
   What the stages found out is read by ``await report(page, "experience")`` (``reports.py``), None where the run came
   without it: the page then shows the command that makes it.
4. Words: English in the template (``{% trans %}…{% endtrans %}`` or ``_("…")``) or the code
   (``page.words.gettext("…")``, ``N_("…")`` where it is shown later). ``tests/serve/desk/desk_catalogue.py``, run as a
   program, adds what is new to ``locale/it/LC_MESSAGES/desk.po``, where the translation is written by hand. A test
   fails while one lacks. A sentence of a report is shown by the filter ``translated`` (``prose.py``): its message
   stands in ``sentences.py``.
5. Tests: its answers in ``tests/serve/desk/test_desk_base.py`` (the fixture ``visit`` over ``desk_company.py``); a line
   in ``PAGES`` of ``test_desk_browser.py`` has it opened in Chromium, wide and narrow, and looked at by axe.
"""

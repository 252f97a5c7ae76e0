// Starts Swagger UI. The sign-in comes back to a page of ours, which hands the code to this window.
"use strict";

const page = document.getElementById("swagger-ui");
const ui = SwaggerUIBundle({
  url: `${page.dataset.schema}/openapi.json`,
  domNode: page,
  oauth2RedirectUrl: new URL(`${page.dataset.schema}/oauth2-redirect.html`, location.href).href,
  deepLinking: true,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  // No badge of a validator on another host.
  validatorUrl: null,
});
ui.initOAuth({
  clientId: page.dataset.clientId,
  scopes: page.dataset.scopes,
  usePkceWithAuthorizationCodeGrant: true,
});

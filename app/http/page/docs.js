SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#docs",
  deepLinking: false, // a link inside a button, which a keyboard cannot tell apart
  tryItOutEnabled: true,
  validatorUrl: null,
  defaultModelsExpandDepth: 0,
});

// The dashboards, by the name of their file.
{
  grafanaDashboards+:: {},
}

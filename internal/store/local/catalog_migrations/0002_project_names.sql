-- Projects are found by their organization and name.
INSERT INTO keys (project, kind, name, value, sort, id, uniq)
SELECT project, kind, 'name', json_extract(CAST(value AS TEXT), '$.org') || char(10) || json_extract(CAST(value AS TEXT), '$.name'), '', id, 0
FROM records WHERE project = '' AND kind = 'project';
